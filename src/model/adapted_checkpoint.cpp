#include "model/adapted_checkpoint.h"

#include <algorithm>
#include <cmath>

#include "base/sha256.h"
#include "formats/checkpoint_tensors.h"
#include "model/torch_includes.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// A view of floats that at:: functions only read.
at::Tensor matrix(const float* values, std::uint64_t rows, std::uint64_t columns) {
  return at::from_blob(const_cast<float*>(values),
                       {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)}, at::kFloat);
}

/// Rows [begin, end) of scale * B A, added to `rows`.
void add_product(const LoraModule& m, std::uint64_t begin, std::uint64_t end, std::span<float> rows) {
  matrix(rows.data(), end - begin, m.in_features)
      .addmm_(matrix(m.b.data() + begin * m.rank, end - begin, m.rank),
              matrix(m.a.data(), m.rank, m.in_features), 1.0, m.scale);
}

template <typename T>
void hash_values(Sha256& hash, const std::vector<T>& values) {
  hash.update(std::as_bytes(std::span(values)));
}

}  // namespace

AdaptedCheckpoint::AdaptedCheckpoint(std::unique_ptr<const Checkpoint> base, LoraAdapter adapter)
    : base_(std::move(base)), adapter_(std::move(adapter)), model_(adapted_model(adapter_, *base_)) {
  for (const AdaptedTensor& t : model_.tensors) {
    tensors_.push_back(t.tensor);
    sources_.emplace(t.tensor.name, &t);
  }
}

const AdaptedTensor& AdaptedCheckpoint::source_of(const CheckpointTensor& tensor) const {
  const auto it = sources_.find(tensor.name);
  if (it != sources_.end()) return *it->second;
  throw Error({.code = "arg.shape",
               .file = path(),
               .where = "read_rows",
               .expected = "a tensor of this model",
               .found = "\"" + escape_untrusted(tensor.name) + "\""});
}

void AdaptedCheckpoint::fill_rows(const CheckpointTensor& tensor, std::uint64_t begin, std::uint64_t end,
                                  std::span<float> out, const ByteObserver& seen) const {
  const AdaptedTensor& source = source_of(tensor);
  if (source.replacement != nullptr) {
    const std::uint64_t columns = check_row_range(source.tensor, begin, end, out.size());
    std::copy_n(source.replacement->values.begin() + static_cast<std::ptrdiff_t>(begin * columns), out.size(),
                out.begin());
  } else {
    // An untied head is read from the embedding: its bytes are not those of a tensor of its name.
    base_->read_rows(*source.base, begin, end, out, source.base->name == tensor.name ? seen : ByteObserver());
  }
  const LoraModule* module = source.module;
  if (module == nullptr) return;
  add_product(*module, begin, end, out);
  const auto bad = std::find_if(out.begin(), out.end(), [](float value) { return !std::isfinite(value); });
  if (bad == out.end()) return;
  throw Error(
      {.code = "num.nonfinite",
       .file = adapter_.path,
       .where = "tensor " + escape_untrusted(tensor.name) + " merged with the adapter, value " +
                std::to_string(begin * module->in_features + static_cast<std::uint64_t>(bad - out.begin())),
       .expected = "a finite number",
       .found = std::to_string(*bad)});
}

std::string AdaptedCheckpoint::weights_digest(const TensorDigests& known) const {
  Sha256 hash;
  hash.update(base_->weights_digest(known));
  for (const LoraModule& m : adapter_.modules) {
    hash.update("\nmodule " + m.module + " rank " + std::to_string(m.rank) + "\n");
    hash_values(hash, std::vector<double>{m.scale});
    hash_values(hash, m.a);
    hash_values(hash, m.b);
  }
  for (const LoraReplacement& r : adapter_.replacements) {
    hash.update("\ntensor " + r.tensor + (r.own_copy ? " copy\n" : "\n"));
    hash_values(hash, r.values);
  }
  return hash.hex();
}

}  // namespace safetylock
