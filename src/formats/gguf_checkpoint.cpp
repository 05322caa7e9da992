#include "formats/gguf_checkpoint.h"

#include <algorithm>
#include <unordered_map>

#include "formats/checkpoint_digest.h"
#include "formats/checkpoint_tensors.h"
#include "formats/families.h"
#include "formats/gguf.h"
#include "formats/gguf_config.h"
#include "formats/gguf_rope.h"
#include "formats/tensor_table.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

// GGUF name -> Hugging Face name.
std::unordered_map<std::string, std::string> hugging_face_names(const ModelConfig& config) {
  std::unordered_map<std::string, std::string> names;
  for (TensorSpec& spec : tensor_table(config)) names.emplace(std::move(spec.gguf), std::move(spec.name));
  return names;
}

// llama.cpp's converter reorders the rows of q_proj and k_proj of some architectures within each head: it
// pairs row 2i with row 2i + 1, where Hugging Face keeps the two halves apart (convert_hf_to_gguf.py,
// LlamaModel.permute).
bool is_permuted(const Family& family, const std::string& gguf_name) {
  if (!family.gguf_permutes_qk) return false;
  return gguf_name.find(".attn_q.") != std::string::npos || gguf_name.find(".attn_k.") != std::string::npos;
}

// Row of a head in the file, for its row in Hugging Face's order.
std::uint64_t permuted_row(std::uint64_t row, std::uint64_t head_dim) {
  const std::uint64_t half = head_dim / 2;
  return 2 * (row % half) + row / half;
}

class GgufCheckpoint final : public Checkpoint {
 public:
  explicit GgufCheckpoint(const std::string& path)
      : file_(path), config_(config_of(file_)), family_(*family_of_class(config_.architecture)) {
    const std::unordered_map<std::string, std::string> names = hugging_face_names(config_);
    for (size_t i = 0; i < file_.tensors().size(); ++i) {
      const GgufTensor& t = file_.tensors()[i];
      if (is_part_of_config(config_, t.name)) continue;
      const auto name = names.find(t.name);  // one without a counterpart stays as it is, and is refused below
      tensors_.push_back({name == names.end() ? t.name : name->second, t.shape,
                          ggml_traits(static_cast<std::uint32_t>(t.type))->name});
      source_by_name_.emplace(tensors_.back().name, i);
    }
    check_tensors(config_, tensors_, file_.path());
  }

  const std::string& path() const override { return file_.path(); }
  std::string format() const override {
    const std::string parts = file_.parts() > 1 ? " in " + std::to_string(file_.parts()) + " parts" : "";
    return "GGUF v" + std::to_string(file_.version()) + parts;
  }
  const ModelConfig& config() const override { return config_; }
  const std::vector<CheckpointTensor>& tensors() const override { return tensors_; }

  void fill_rows(const CheckpointTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                 std::span<float> out, const ByteObserver& seen) const override {
    const std::uint64_t columns = check_row_range(tensor, row_begin, row_end, out.size());
    const GgufTensor& source = source_of(tensor);
    NonFinite bad;
    if (is_permuted(family_, source.name)) {
      read_permuted(source, columns, row_begin, row_end, out, seen);
      find_non_finite(out, row_begin * columns, bad);
    } else {
      read_in_order(source, row_begin * columns, out, bad, seen);
    }
    file_.file_of(source).check_unchanged();
    refuse_non_finite(bad, path(), tensor);
    // llama.cpp's converter folds the 1 into the weight.
    if (config_.unit_offset_norm && source.name.ends_with("norm.weight")) {
      for (float& w : out) w -= 1.0F;
    }
  }

  std::string weights_digest(const TensorDigests& known) const override {
    std::vector<StoredTensor> stored;
    for (const CheckpointTensor& tensor : tensors_) {
      const GgufTensor& t = source_of(tensor);
      stored.push_back({&tensor, &file_.file_of(t), t.offset, t.bytes});
    }
    return digest_of_tensors(std::move(stored), known);
  }

 private:
  // Values dequantised at a time: small enough that bytes and values stay in the cache.
  static constexpr std::uint64_t kChunkValues = 64 * 1024;

  const GgufTensor& source_of(const CheckpointTensor& tensor) const {
    const auto it = source_by_name_.find(tensor.name);
    if (it == source_by_name_.end()) {
      throw Error({"arg.shape", path(), "read_rows", "a tensor of this file",
                   "\"" + escape_untrusted(tensor.name) + "\"", ""});
    }
    return file_.tensors()[it->second];
  }

  // Dequantises values [begin, begin + out.size()), which start and end on a block.
  void read_values(const GgufTensor& t, std::uint64_t begin, std::span<float> out,
                   std::vector<std::byte>& buffer, const ByteObserver& seen) const {
    const GgmlTypeTraits traits = *ggml_traits(static_cast<std::uint32_t>(t.type));
    buffer.resize(out.size() / traits.block_elements * traits.block_bytes);
    file_.file_of(t).read_at(t.offset + begin / traits.block_elements * traits.block_bytes, buffer);
    if (seen) seen(buffer);
    ggml_dequantize(t.type, buffer, out);
  }

  void read_in_order(const GgufTensor& t, std::uint64_t begin, std::span<float> out, NonFinite& bad,
                     const ByteObserver& seen) const {
    std::vector<std::byte> buffer;
    for (std::uint64_t done = 0; done < out.size();) {
      const std::uint64_t n = std::min<std::uint64_t>(kChunkValues, out.size() - done);
      const std::span<float> part = out.subspan(done, n);
      read_values(t, begin + done, part, buffer, seen);
      find_non_finite(part, begin + done, bad);
      done += n;
    }
  }

  void read_permuted(const GgufTensor& t, std::uint64_t columns, std::uint64_t row_begin,
                     std::uint64_t row_end, std::span<float> out, const ByteObserver& seen) const {
    const auto head_dim = static_cast<std::uint64_t>(config_.head_dim);
    std::vector<std::byte> buffer;
    std::vector<float> head_rows(head_dim * columns);
    for (std::uint64_t row = row_begin; row < row_end;) {
      const std::uint64_t head_begin = row / head_dim * head_dim;
      read_values(t, head_begin * columns, head_rows, buffer, seen);
      for (; row < row_end && row < head_begin + head_dim; ++row) {
        const auto from = head_rows.begin() +
                          static_cast<std::ptrdiff_t>(permuted_row(row - head_begin, head_dim) * columns);
        std::copy_n(from, columns, out.begin() + static_cast<std::ptrdiff_t>((row - row_begin) * columns));
      }
    }
  }

  GgufFile file_;
  ModelConfig config_;
  const Family& family_;
  std::vector<CheckpointTensor> tensors_;
  std::unordered_map<std::string, size_t> source_by_name_;  // Hugging Face name -> index into file_.tensors()
};

}  // namespace

std::unique_ptr<Checkpoint> open_gguf_checkpoint(const std::string& path) {
  return std::make_unique<GgufCheckpoint>(path);
}

}  // namespace safetylock
