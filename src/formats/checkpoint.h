// A model's files behind one interface: what its config says, which tensors it has under their Hugging Face
// names and in Hugging Face's row order, and their values as float32. Knows files, not maths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
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

/// Stored bytes of a tensor, as they are read.
using ByteObserver = std::function<void(std::span<const std::byte>)>;

/// SHA-256 (hexadecimal) of the stored bytes of tensors, by name.
using TensorDigests = std::map<std::string, std::string>;

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
  /// `seen` is shown each stored byte of these rows once, in order, if the rows of q_proj and k_proj are
  /// those of whole heads; nothing where the values are not the files' own (an adapter's).
  void read_rows(const CheckpointTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                 std::span<float> out, const ByteObserver& seen = {}) const {
    fill_rows(tensor, row_begin, row_end, out, seen);
  }

  /// SHA-256 over names, storage types, shapes and SHA-256 of the stored bytes of all tensors, in order of
  /// name. Tensors in `known` are not read again.
  virtual std::string weights_digest(const TensorDigests& known = {}) const = 0;

 protected:
  /// read_rows.
  virtual void fill_rows(const CheckpointTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                         std::span<float> out, const ByteObserver& seen) const = 0;
};

}  // namespace safetylock
