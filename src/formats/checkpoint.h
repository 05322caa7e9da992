// A model's files behind one interface: what its config says, which tensors it has under their Hugging Face
// names and in Hugging Face's row order, and their values as float32. Knows files, not maths.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "safetylock/model_config.h"

namespace safetylock {

struct CheckpointTensor {
  std::string name;                  ///< Hugging Face name, e.g. "model.layers.0.self_attn.q_proj.weight"
  std::vector<std::uint64_t> shape;  ///< outermost first: a linear's weight is [out_features, in_features]
  std::string storage;               ///< how the file stores it: "F32", "BF16", "Q4_K" ...
};

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  /// Opens a GGUF file (of a split one, its first part), a Hugging Face folder (config.json and safetensors)
  /// or the folder of a model in a hub cache.
  /// Throws Error io.*, hub.*, gguf.*, st.*, shard.*, cfg.*; cfg.unsupported lists the architectures that are
  /// supported.
  static std::unique_ptr<Checkpoint> open(const std::string& path);

  virtual const std::string& path() const = 0;
  virtual std::string format() const = 0;  ///< "GGUF v3" or "Hugging Face folder"
  virtual const ModelConfig& config() const = 0;
  virtual const std::vector<CheckpointTensor>& tensors() const = 0;
  const CheckpointTensor* find(std::string_view name) const;

  /// Fills `out` with rows [row_begin, row_end) of `tensor` (a 1-D tensor of n values is n rows of 1) widened
  /// or dequantised to float32. For GGUF arch `llama` the rows of q_proj and k_proj are put back into HF
  /// order. Throws io.* (io.changed when the file is no longer the one that was opened), num.nonfinite
  /// (tensor, flat index) and arg.shape. Callable from several threads.
  virtual void read_rows(const CheckpointTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                         std::span<float> out) const = 0;

  /// SHA-256 over names, shapes, storage types and stored bytes of all tensors, in order of name.
  virtual std::string weights_digest() const = 0;
};

}  // namespace safetylock
