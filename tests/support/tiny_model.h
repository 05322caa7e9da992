// The tiny random models of tests/golden/model, what transformers computes with them, and models held in
// memory.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "model/causal_lm_impl.h"
#include "support/errors.h"

namespace safetylock::test {

inline const std::vector<std::string>& tiny_model_names() {
  static const std::vector<std::string> names = {
      "llama_gqa",         "llama_biases", "llama_head_dim", "llama_tied", "llama_rope_linear",
      "llama_rope_llama3", "qwen2",        "qwen2_window",   "qwen3",      "mistral",
      "mistral_window",    "gemma",        "gemma2",         "gemma3",     "phi3",
      "phi4_mini",         "smollm3"};
  return names;
}

inline std::string tiny_model_path(const std::string& name) {
  return std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/model/" + name;
}

/// NAME.golden.safetensors: values made by scripts/make_golden_model.py.
class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(SafetensorsFile::open(tiny_model_path(name) + ".golden.safetensors")) {}

  at::Tensor floats(const std::string& name) const {
    const SafetensorsTensor& tensor = find(name);
    std::vector<float> values(tensor.count());
    file_.read_floats(tensor, 0, values);
    return at::tensor(values).view(shape(tensor));
  }
  std::vector<std::int64_t> integers(const std::string& name) const {
    return file_.read_integers(find(name));
  }

 private:
  const SafetensorsTensor& find(const std::string& name) const {
    const SafetensorsTensor* tensor = file_.find(name);
    if (tensor == nullptr) throw std::runtime_error("golden file without " + name);
    return *tensor;
  }
  static std::vector<std::int64_t> shape(const SafetensorsTensor& tensor) {
    return {tensor.shape.begin(), tensor.shape.end()};
  }

  SafetensorsFile file_;
};

/// A checkpoint in memory, for models that no file holds.
class MemoryCheckpoint : public Checkpoint {
 public:
  explicit MemoryCheckpoint(ModelConfig config) : config_(std::move(config)) {}
  /// A copy of everything that `source` holds.
  static std::unique_ptr<MemoryCheckpoint> copy_of(const Checkpoint& source) {
    auto copy = std::make_unique<MemoryCheckpoint>(source.config());
    for (const CheckpointTensor& tensor : source.tensors()) {
      std::uint64_t count = 1;
      for (const std::uint64_t extent : tensor.shape) count *= extent;
      std::vector<float> values(count);
      source.read_rows(tensor, 0, tensor.shape.front(), values);
      copy->set(tensor.name, tensor.shape, std::move(values));
    }
    return copy;
  }
  static std::unique_ptr<MemoryCheckpoint> copy_of(const std::string& tiny_model) {
    return copy_of(*Checkpoint::open(tiny_model_path(tiny_model)));
  }

  void set(const std::string& name, std::vector<std::uint64_t> shape, std::vector<float> values) {
    erase(name);
    tensors_.push_back({name, std::move(shape), "F32"});
    values_[name] = std::move(values);
  }
  void erase(const std::string& name) {
    std::erase_if(tensors_, [&](const CheckpointTensor& t) { return t.name == name; });
    values_.erase(name);
  }
  ModelConfig& mutable_config() { return config_; }
  std::vector<float>& mutable_values(const std::string& name) { return values_.at(name); }

  const std::string& path() const override { return path_; }
  std::string format() const override { return "memory"; }
  const ModelConfig& config() const override { return config_; }
  const std::vector<CheckpointTensor>& tensors() const override { return tensors_; }
  void fill_rows(const CheckpointTensor& tensor, std::uint64_t begin, std::uint64_t end, std::span<float> out,
                 const ByteObserver&) const override {
    const std::vector<float>& values = values_.at(tensor.name);
    const std::uint64_t columns = values.size() / tensor.shape.front();
    std::copy(values.begin() + static_cast<std::ptrdiff_t>(begin * columns),
              values.begin() + static_cast<std::ptrdiff_t>(end * columns), out.begin());
  }
  std::string weights_digest(const TensorDigests&) const override { return std::string(64, '0'); }

 private:
  std::string path_ = "memory";
  ModelConfig config_;
  std::vector<CheckpointTensor> tensors_;
  std::map<std::string, std::vector<float>> values_;
};

/// A model without tokenizer and template.
inline CausalLM load_bare(std::unique_ptr<const Checkpoint> checkpoint,
                          const std::string& dtype = "float32") {
  return CausalLM(load_decoder(std::move(checkpoint), {.device = "cpu", .dtype = dtype}));
}
inline CausalLM load_bare(const std::string& tiny_model, const std::string& dtype = "float32") {
  return load_bare(Checkpoint::open(tiny_model_path(tiny_model)), dtype);
}

/// ids[begin, end).
inline std::vector<TokenId> slice(const std::vector<TokenId>& ids, size_t begin, size_t end) {
  return {ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.begin() + static_cast<std::ptrdiff_t>(end)};
}

/// max |a - b| / max |b|.
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  return ((x - y).abs().max() / y.abs().max()).item<double>();
}

/// A bias for each of `layers`, seeded.
inline Interventions random_interventions(const ModelConfig& config, const std::vector<std::int64_t>& layers,
                                          std::vector<Strength> strengths) {
  Interventions result{.biases = {}, .strengths = std::move(strengths)};
  at::manual_seed(7);
  for (const std::int64_t layer : layers) result.biases[layer] = 0.05 * at::randn({config.hidden_size});
  return result;
}

}  // namespace safetylock::test
