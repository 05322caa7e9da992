#include "formats/gguf_checkpoint.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "formats/checkpoint_digest.h"
#include "formats/checkpoint_tensors.h"
#include "formats/gguf.h"
#include "formats/gguf_config.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

struct NamePair {
  std::string_view gguf;
  std::string_view hugging_face;
};

constexpr std::array kModelNames = {
    NamePair{"token_embd.weight", "model.embed_tokens.weight"},
    NamePair{"output_norm.weight", "model.norm.weight"},
    NamePair{"output.weight", "lm_head.weight"},
};

constexpr std::array kLayerNames = {
    NamePair{"attn_norm", "input_layernorm"}, NamePair{"ffn_norm", "post_attention_layernorm"},
    NamePair{"attn_q", "self_attn.q_proj"},   NamePair{"attn_k", "self_attn.k_proj"},
    NamePair{"attn_v", "self_attn.v_proj"},   NamePair{"attn_output", "self_attn.o_proj"},
    NamePair{"ffn_gate", "mlp.gate_proj"},    NamePair{"ffn_up", "mlp.up_proj"},
    NamePair{"ffn_down", "mlp.down_proj"},
};

// "blk.7.attn_q.weight" -> "model.layers.7.self_attn.q_proj.weight"; a name without counterpart stays as it
// is.
std::string hugging_face_name(const std::string& name) {
  for (const NamePair& pair : kModelNames) {
    if (name == pair.gguf) return std::string(pair.hugging_face);
  }
  if (!name.starts_with("blk.")) return name;
  const size_t layer_end = name.find('.', 4);
  const size_t kind = name.rfind('.');
  if (layer_end == std::string::npos || kind <= layer_end) return name;
  const std::string_view part = std::string_view(name).substr(layer_end + 1, kind - layer_end - 1);
  for (const NamePair& pair : kLayerNames) {
    if (part == pair.gguf) {
      return "model.layers" + name.substr(3, layer_end - 2) + std::string(pair.hugging_face) +
             name.substr(kind);
    }
  }
  return name;
}

// llama.cpp's converter reorders the rows of q_proj and k_proj of arch llama within each head: it pairs row i
// with row i + D/2, where Hugging Face keeps the two halves apart (convert_hf_to_gguf.py,
// LlamaModel.permute).
bool is_permuted(const ModelConfig& config, const std::string& gguf_name) {
  if (config.model_type != "llama") return false;
  return gguf_name.find(".attn_q.") != std::string::npos || gguf_name.find(".attn_k.") != std::string::npos;
}

// Row of a head in the file, for its row in Hugging Face's order.
std::uint64_t permuted_row(std::uint64_t row, std::uint64_t head_dim) {
  const std::uint64_t half = head_dim / 2;
  return 2 * (row % half) + row / half;
}

class GgufCheckpoint final : public Checkpoint {
 public:
  explicit GgufCheckpoint(const std::string& path) : file_(path), config_(config_of(file_)) {
    for (size_t i = 0; i < file_.tensors().size(); ++i) {
      const GgufTensor& t = file_.tensors()[i];
      if (t.name == "rope_freqs.weight") continue;  // part of the config
      tensors_.push_back(
          {hugging_face_name(t.name), t.shape, ggml_traits(static_cast<std::uint32_t>(t.type))->name});
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

  void read_rows(const CheckpointTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                 std::span<float> out) const override {
    const std::uint64_t columns = check_row_range(tensor, row_begin, row_end, out.size());
    const GgufTensor& source = source_of(tensor);
    NonFinite bad;
    if (is_permuted(config_, source.name)) {
      read_permuted(source, columns, row_begin, row_end, out);
      find_non_finite(out, row_begin * columns, bad);
    } else {
      read_in_order(source, row_begin * columns, out, bad);
    }
    file_.file_of(source).check_unchanged();
    refuse_non_finite(bad, path(), tensor);
  }

  std::string weights_digest() const override {
    std::vector<StoredTensor> stored;
    for (const CheckpointTensor& tensor : tensors_) {
      const GgufTensor& t = source_of(tensor);
      stored.push_back({&tensor, &file_.file_of(t), t.offset, t.bytes});
    }
    return digest_of_tensors(std::move(stored));
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
                   std::vector<std::byte>& buffer) const {
    const GgmlTypeTraits traits = *ggml_traits(static_cast<std::uint32_t>(t.type));
    buffer.resize(out.size() / traits.block_elements * traits.block_bytes);
    file_.file_of(t).read_at(t.offset + begin / traits.block_elements * traits.block_bytes, buffer);
    ggml_dequantize(t.type, buffer, out);
  }

  void read_in_order(const GgufTensor& t, std::uint64_t begin, std::span<float> out, NonFinite& bad) const {
    std::vector<std::byte> buffer;
    for (std::uint64_t done = 0; done < out.size();) {
      const std::uint64_t n = std::min<std::uint64_t>(kChunkValues, out.size() - done);
      const std::span<float> part = out.subspan(done, n);
      read_values(t, begin + done, part, buffer);
      find_non_finite(part, begin + done, bad);
      done += n;
    }
  }

  void read_permuted(const GgufTensor& t, std::uint64_t columns, std::uint64_t row_begin,
                     std::uint64_t row_end, std::span<float> out) const {
    const auto head_dim = static_cast<std::uint64_t>(config_.head_dim);
    std::vector<std::byte> buffer;
    std::vector<float> head_rows(head_dim * columns);
    for (std::uint64_t row = row_begin; row < row_end;) {
      const std::uint64_t head_begin = row / head_dim * head_dim;
      read_values(t, head_begin * columns, head_rows, buffer);
      for (; row < row_end && row < head_begin + head_dim; ++row) {
        const auto from = head_rows.begin() +
                          static_cast<std::ptrdiff_t>(permuted_row(row - head_begin, head_dim) * columns);
        std::copy_n(from, columns, out.begin() + static_cast<std::ptrdiff_t>((row - row_begin) * columns));
      }
    }
  }

  GgufFile file_;
  ModelConfig config_;
  std::vector<CheckpointTensor> tensors_;
  std::unordered_map<std::string, size_t> source_by_name_;  // Hugging Face name -> index into file_.tensors()
};

}  // namespace

std::unique_ptr<Checkpoint> open_gguf_checkpoint(const std::string& path) {
  return std::make_unique<GgufCheckpoint>(path);
}

}  // namespace safetylock
