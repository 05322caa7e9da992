#include "model/load_tensor.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "base/sha256.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// Floats converted at a time by one thread: fits its level-2 cache.
constexpr std::int64_t kChunkValues = 1 << 16;

/// Values that libtorch still copies on the calling thread.
constexpr std::int64_t kSerialValues = 1 << 15;

/// Rounding to float16 can overflow where the file's values are finite.
void check_fits_float16(const std::string& file, const CheckpointTensor& source, std::int64_t first,
                        std::span<const float> values) {
  constexpr float kRoundsToInfinity = 65520.0F;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::abs(values[i]) >= kRoundsToInfinity) {
      throw Error({.code = "num.nonfinite",
                   .file = file,
                   .where = "tensor " + escape_untrusted(source.name) + ", value " +
                            std::to_string(first + static_cast<std::int64_t>(i)),
                   .expected = "a value within float16's range",
                   .found = std::to_string(values[i]),
                   .hint = "Load the model with dtype bfloat16 or float32"});
    }
  }
}

/// Calls `use(target)` with a tensor on the CPU, then copies it to where `target` is.
template <typename F>
void staged(const at::Tensor& target, const F& use) {
  if (target.device().is_cpu()) return use(target);
  const at::Tensor host = at::empty(target.sizes(), target.options().device(at::kCPU));
  use(host);
  target.copy_(host);
}

/// Rows of a tensor on the CPU that take values of the file.
class Rows {
 public:
  /// The file's row `first_row` is the first one of `target`.
  Rows(const Checkpoint& checkpoint, const CheckpointTensor& source, const at::Tensor& target,
       std::int64_t first_row)
      : checkpoint_(checkpoint),
        source_(source),
        rows_(target.view({target.size(0), -1})),
        first_row_(first_row) {}

  std::int64_t count() const { return rows_.size(0); }
  std::int64_t columns() const { return rows_.size(1); }

  void read(std::int64_t first, std::int64_t count, std::vector<float>& buffer,
            const ByteObserver& seen) const {
    const c10::InferenceMode inference;  // of this thread: the target may have been made in a pass
    buffer.resize(static_cast<size_t>(count * columns()));
    const std::int64_t begin = first_row_ + first;
    checkpoint_.read_rows(source_, static_cast<std::uint64_t>(begin),
                          static_cast<std::uint64_t>(begin + count), buffer, seen);
    if (rows_.scalar_type() == at::kHalf)
      check_fits_float16(checkpoint_.path(), source_, begin * columns(), buffer);
    const at::Tensor flat = rows_.narrow(0, first, count).view({-1});
    for (std::int64_t done = 0; done < flat.size(0); done += kSerialValues) {
      const std::int64_t n = std::min(kSerialValues, flat.size(0) - done);
      flat.narrow(0, done, n).copy_(at::from_blob(buffer.data() + done, {n}, at::kFloat));
    }
  }

 private:
  const Checkpoint& checkpoint_;
  const CheckpointTensor& source_;
  at::Tensor rows_;
  std::int64_t first_row_;
};

/// q_proj and k_proj of some files are read a whole head at a time.
std::int64_t rows_read_together(const CheckpointTensor& source, const ModelConfig& config) {
  const bool by_head =
      source.name.find("q_proj") != std::string::npos || source.name.find("k_proj") != std::string::npos;
  return by_head ? config.head_dim : 1;
}

}  // namespace

void load_tensor(const Checkpoint& checkpoint, const CheckpointTensor& source, const at::Tensor& target,
                 std::int64_t first_row) {
  staged(target, [&](const at::Tensor& host) {
    const Rows rows(checkpoint, source, host, first_row);
    const std::int64_t chunk = std::max<std::int64_t>(1, kChunkValues / rows.columns());
    at::parallel_for(0, (rows.count() + chunk - 1) / chunk, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> buffer;
      for (std::int64_t c = begin; c < end; ++c)
        rows.read(c * chunk, std::min(chunk, rows.count() - c * chunk), buffer, {});
    });
  });
}

std::string load_tensor_in_order(const Checkpoint& checkpoint, const CheckpointTensor& source,
                                 const at::Tensor& target, const std::atomic<bool>& stop) {
  Sha256 hash;
  bool any = false;
  const ByteObserver seen = [&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    any = true;
  };
  staged(target, [&](const at::Tensor& host) {
    const Rows rows(checkpoint, source, host, 0);
    const std::int64_t together = rows_read_together(source, checkpoint.config());
    const std::int64_t chunk =
        std::max<std::int64_t>(1, kChunkValues / (rows.columns() * together)) * together;
    std::vector<float> buffer;
    for (std::int64_t row = 0; row < rows.count(); row += chunk) {
      if (stop) throw Error({.code = "run.interrupted", .file = checkpoint.path(), .where = source.name});
      rows.read(row, std::min(chunk, rows.count() - row), buffer, seen);
    }
  });
  return any ? hash.hex() : "";
}

}  // namespace safetylock
