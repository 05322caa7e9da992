// Where passes find a model's weights: in memory, or layer by layer in its files.
#pragma once

#include <memory>
#include <vector>

#include "formats/checkpoint.h"
#include "model/layer_weights.h"

namespace safetylock {

/// The layers of one pass.
class LayerReader {
 public:
  virtual ~LayerReader() = default;
  /// The first layer, then the second ...: good until the next call. Throws what reading the files throws.
  virtual const LayerWeights& next() = 0;
};

/// Const access from any thread.
class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual at::TensorOptions options() const = 0;  ///< the model's device and dtype
  virtual std::unique_ptr<LayerReader> read_layers() const = 0;
  /// All layers, where they are in memory: a pass then needs no reader.
  virtual const std::vector<LayerWeights>* held_layers() const { return nullptr; }
  virtual at::Tensor embed(const at::Tensor& ids) const = 0;        ///< ids [N] int64 on the CPU: [N, E]
  virtual at::Tensor final_norm() const = 0;                        ///< [E]
  virtual at::Tensor to_vocabulary(const at::Tensor& x) const = 0;  ///< x [M, E] times lm_head: [M, V]
  virtual at::Tensor o_proj(std::int64_t layer) const = 0;          ///< [E, H*D]
  virtual std::int64_t bytes() const = 0;       ///< of all weights in the model's dtype, tied tensors once
  virtual std::int64_t bytes_held() const = 0;  ///< of these in memory during a pass
  /// Of the tensors that were read whole so far and whose values are the files' own.
  virtual TensorDigests digests() const { return {}; }
};

}  // namespace safetylock
