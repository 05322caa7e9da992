#include "bake/model_tensors.h"

#include <functional>
#include <numeric>
#include <unordered_map>

#include "base/file.h"
#include "formats/gguf.h"
#include "formats/gguf_config.h"
#include "formats/hf_config.h"
#include "formats/model_folder.h"
#include "formats/safetensors.h"
#include "formats/shards.h"
#include "formats/tensor_table.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

[[noreturn]] void fail_name(const std::string& path, const std::string& name) {
  throw Error({"model.tensor_missing", path, escape_untrusted(name), "the tensor to be there",
               "no such tensor", "The file is damaged, or of another model"});
}

class FolderTensors final : public ModelTensors {
 public:
  explicit FolderTensors(const std::string& folder)
      : path_(escape_untrusted(folder, 1000)),
        config_(read_hf_config(folder, IdleBiasKey::pass_over)),
        files_(open_weight_files(folder)) {
    for (const SafetensorsFile& file : files_) {
      for (const SafetensorsTensor& t : file.tensors()) sources_.emplace(t.name, Source{&file, &t});
    }
  }

  const std::string& path() const override { return path_; }
  const ModelConfig& config() const override { return config_; }
  bool is_gguf() const override { return false; }
  std::optional<TensorInfo> find(const std::string& name) const override {
    const auto it = sources_.find(name);
    if (it == sources_.end()) return std::nullopt;
    return TensorInfo{it->second.tensor->shape, it->second.tensor->dtype};
  }
  void read(const std::string& name, std::uint64_t begin, std::span<float> out) const override {
    const auto it = sources_.find(name);
    if (it == sources_.end()) fail_name(path_, name);
    const SafetensorsTensor& t = *it->second.tensor;
    it->second.file->read_floats(t, begin, out);
    if (t.count() > 0) bytes_read_ += t.bytes / t.count() * out.size();
  }
  std::uint64_t bytes_read() const override { return bytes_read_; }

 private:
  struct Source {
    const SafetensorsFile* file;
    const SafetensorsTensor* tensor;
  };
  std::string path_;
  ModelConfig config_;
  std::vector<SafetensorsFile> files_;
  std::unordered_map<std::string, Source> sources_;
  mutable std::uint64_t bytes_read_ = 0;
};

class GgufTensors final : public ModelTensors {
 public:
  explicit GgufTensors(const std::string& path) : file_(path), config_(config_of(file_)) {
    ModelConfig all = config_;  // the table names biases only where the config has them
    all.attention_bias = all.attention_out_bias = true;
    for (const TensorSpec& spec : tensor_table(all)) {
      if (const GgufTensor* t = file_.find_tensor(spec.gguf)) sources_.emplace(spec.name, t);
    }
  }

  const std::string& path() const override { return file_.path(); }
  const ModelConfig& config() const override { return config_; }
  bool is_gguf() const override { return true; }
  std::optional<TensorInfo> find(const std::string& name) const override {
    const auto it = sources_.find(name);
    if (it == sources_.end()) return std::nullopt;
    return TensorInfo{it->second->shape, traits(*it->second).name};
  }
  void read(const std::string& name, std::uint64_t begin, std::span<float> out) const override {
    const auto it = sources_.find(name);
    if (it == sources_.end()) fail_name(path(), name);
    const GgufTensor& t = *it->second;
    // Whole blocks around what is asked for.
    const GgmlTypeTraits type = traits(t);
    const std::uint64_t first = begin / type.block_elements;
    const std::uint64_t last = (begin + out.size() + type.block_elements - 1) / type.block_elements;
    if (last * type.block_bytes > t.bytes) {
      throw Error({"arg.shape", path(), escape_untrusted(name), "values of the tensor",
                   std::to_string(out.size()) + " at " + std::to_string(begin), ""});
    }
    bytes_.resize((last - first) * type.block_bytes);
    values_.resize((last - first) * type.block_elements);
    file_.file_of(t).read_at(t.offset + first * type.block_bytes, bytes_);
    ggml_dequantize(t.type, bytes_, values_);
    const auto from = values_.begin() + static_cast<std::ptrdiff_t>(begin - first * type.block_elements);
    std::copy_n(from, out.size(), out.begin());
    bytes_read_ += bytes_.size();
  }
  std::uint64_t bytes_read() const override { return bytes_read_; }

 private:
  static GgmlTypeTraits traits(const GgufTensor& t) {
    return *ggml_traits(static_cast<std::uint32_t>(t.type));
  }

  GgufFile file_;
  ModelConfig config_;
  std::unordered_map<std::string, const GgufTensor*> sources_;
  mutable std::vector<std::byte> bytes_;
  mutable std::vector<float> values_;
  mutable std::uint64_t bytes_read_ = 0;
};

std::string layer_tensor(std::int64_t layer, const std::string& name) {
  return "model.layers." + std::to_string(layer) + ".self_attn." + name;
}

}  // namespace

std::unique_ptr<ModelTensors> ModelTensors::open(const std::string& path) {
  const std::string resolved = resolve_model_path(path);
  if (is_directory(resolved)) return std::make_unique<FolderTensors>(resolved);
  return std::make_unique<GgufTensors>(resolved);
}

std::vector<float> ModelTensors::read_all(const std::string& name) const {
  const std::optional<TensorInfo> info = find(name);
  if (!info) return {};
  std::vector<float> values(
      std::accumulate(info->shape.begin(), info->shape.end(), std::uint64_t{1}, std::multiplies<>()));
  read(name, 0, values);
  return values;
}

std::string o_weight_name(std::int64_t layer) {
  return layer_tensor(layer, "o_proj.weight");
}
std::string o_bias_name(std::int64_t layer) {
  return layer_tensor(layer, "o_proj.bias");
}
std::string projection_bias_name(std::int64_t layer, char projection) {
  return layer_tensor(layer, std::string(1, projection) + "_proj.bias");
}

}  // namespace safetylock
