#include "formats/hf_checkpoint.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/file.h"
#include "base/log.h"
#include "formats/checkpoint_digest.h"
#include "formats/checkpoint_tensors.h"
#include "formats/hf_config.h"
#include "formats/safetensors.h"
#include "formats/shards.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kHead = "lm_head.weight";

// Buffers that old versions of transformers saved and every version recomputes.
bool is_recomputed(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq");
}

class HfCheckpoint final : public Checkpoint {
 public:
  explicit HfCheckpoint(const std::string& folder)
      : path_(escape_untrusted(folder, 1000)),
        config_(read_hf_config(folder)),
        files_(open_weight_files(folder)) {
    for (const SafetensorsFile& file : files_) {
      for (const SafetensorsTensor& t : file.tensors()) {
        if (!is_recomputed(t.name)) sources_.emplace(t.name, Source{&file, &t});
      }
    }
    check_tying();
    for (const SafetensorsFile& file : files_) {
      for (const SafetensorsTensor& t : file.tensors()) {
        if (sources_.contains(t.name)) tensors_.push_back({t.name, t.shape, t.dtype});
      }
    }
    check_tensors(config_, tensors_, path_);
    check_dtypes();
    note_other_dtype(stated_dtype(folder));
  }

  const std::string& path() const override { return path_; }
  std::string format() const override { return "Hugging Face folder"; }
  const ModelConfig& config() const override { return config_; }
  const std::vector<CheckpointTensor>& tensors() const override { return tensors_; }

  void fill_rows(const CheckpointTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                 std::span<float> out, const ByteObserver& seen) const override {
    const std::uint64_t columns = check_row_range(tensor, row_begin, row_end, out.size());
    const auto it = sources_.find(tensor.name);
    if (it == sources_.end()) {
      throw Error({"arg.shape", path_, "read_rows", "a tensor of this model",
                   "\"" + escape_untrusted(tensor.name) + "\"", ""});
    }
    it->second.file->read_floats(*it->second.tensor, row_begin * columns, out, seen);
    it->second.file->input()->check_unchanged();
    NonFinite bad;
    find_non_finite(out, row_begin * columns, bad);
    refuse_non_finite(bad, path_, tensor);
  }

  std::string weights_digest(const TensorDigests& known) const override {
    std::vector<StoredTensor> stored;
    for (const CheckpointTensor& t : tensors_) {
      const Source& s = sources_.at(t.name);
      stored.push_back({&t, s.file->input(), s.tensor->offset, s.tensor->bytes});
    }
    return digest_of_tensors(std::move(stored), known);
  }

 private:
  struct Source {
    const SafetensorsFile* file;
    const SafetensorsTensor* tensor;
  };

  // With tied embeddings a second copy of them is harmless, and dropped; anything else there would be ignored
  // by some engines and used by others.
  void check_tying() {
    const auto head = sources_.find(std::string(kHead));
    const auto embedding = sources_.find(std::string(kEmbedding));
    if (config_.tie_word_embeddings && head != sources_.end()) {
      if (embedding == sources_.end() || !same_bytes(head->second, embedding->second)) {
        fail_tied("no lm_head.weight, or one equal to the embedding", "another lm_head.weight");
      }
      sources_.erase(head);
    } else if (!config_.tie_word_embeddings && head == sources_.end()) {
      fail_tied("lm_head.weight, as tie_word_embeddings is false", "no such tensor");
    }
  }

  [[noreturn]] void fail_tied(const char* expected, const char* found) const {
    throw Error({"cfg.tied", path_, std::string(kHead), expected, found,
                 "Correct tie_word_embeddings in config.json"});
  }

  static bool same_bytes(const Source& a, const Source& b) {
    if (a.tensor->dtype != b.tensor->dtype || a.tensor->shape != b.tensor->shape) return false;
    constexpr std::uint64_t kChunk = std::uint64_t{1} << 20;
    std::vector<std::byte> left, right;
    for (std::uint64_t done = 0; done < a.tensor->bytes; done += left.size()) {
      left.resize(std::min(kChunk, a.tensor->bytes - done));
      right.resize(left.size());
      a.file->read_bytes(*a.tensor, done, left);
      b.file->read_bytes(*b.tensor, done, right);
      if (left != right) return false;
    }
    return true;
  }

  void check_dtypes() const {
    for (const CheckpointTensor& t : tensors_) {
      if (t.storage != "F32" && t.storage != "F16" && t.storage != "BF16" && t.storage != "F64") {
        throw Error({"st.dtype_unsupported", path_, t.name, "F64, F32, F16 or BF16", t.storage,
                     "Quantised checkpoints are read as GGUF only"});
      }
    }
  }

  // The tensors say what they are; the config is only a hint that conversions forget to change.
  void note_other_dtype(const std::string& stated) const {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNames{
        {{"float64", "F64"}, {"float32", "F32"}, {"float16", "F16"}, {"bfloat16", "BF16"}}};
    const auto name =
        std::find_if(kNames.begin(), kNames.end(), [&](const auto& n) { return n.first == stated; });
    const auto other = std::find_if(tensors_.begin(), tensors_.end(), [&](const CheckpointTensor& t) {
      return name != kNames.end() && t.storage != name->second;
    });
    if (other == tensors_.end()) return;
    log::info("{}: config.json says {}, {} is stored as {}", path_, stated, escape_untrusted(other->name),
              other->storage);
  }

  std::string path_;
  ModelConfig config_;
  std::vector<SafetensorsFile> files_;
  std::vector<CheckpointTensor> tensors_;
  std::unordered_map<std::string, Source> sources_;
};

}  // namespace

std::unique_ptr<Checkpoint> open_hf_checkpoint(const std::string& folder) {
  return std::make_unique<HfCheckpoint>(folder);
}

}  // namespace safetylock
