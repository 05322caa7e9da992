// Parts of a model's tensors by their Hugging Face names, from a folder or a GGUF file, whether or not the
// tensors are those that the config announces: what is baked and verified is read through this.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "safetylock/model_config.h"

namespace safetylock {

struct TensorInfo {
  std::vector<std::uint64_t> shape;  ///< outermost first
  std::string storage;               ///< "BF16", "Q4_K" ...
};

class ModelTensors {
 public:
  virtual ~ModelTensors() = default;

  /// Opens a Hugging Face folder, the folder of a model in a hub cache, or a GGUF file. Throws what reading
  /// its config and its tensor table throws.
  static std::unique_ptr<ModelTensors> open(const std::string& path);

  virtual const std::string& path() const = 0;
  virtual const ModelConfig& config() const = 0;
  virtual bool is_gguf() const = 0;
  /// Nothing when the model has no such tensor.
  virtual std::optional<TensorInfo> find(const std::string& name) const = 0;
  /// Values [begin, begin + out.size()) of an o_proj weight or bias in row-major order, dequantised. NaN and
  /// infinity are passed on. Throws io.*, arg.shape.
  virtual void read(const std::string& name, std::uint64_t begin, std::span<float> out) const = 0;
  /// Bytes that read() has taken from the files so far.
  virtual std::uint64_t bytes_read() const = 0;

  /// All values; none when there is no such tensor.
  std::vector<float> read_all(const std::string& name) const;
};

std::string o_weight_name(std::int64_t layer);
std::string o_bias_name(std::int64_t layer);
/// "model.layers.3.self_attn.q_proj.bias" for 'q'.
std::string projection_bias_name(std::int64_t layer, char projection);

}  // namespace safetylock
