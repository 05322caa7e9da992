// A decoder's weights in memory, immutable after loading.
#pragma once

#include <cstdint>
#include <vector>

#include "model/weight_source.h"
#include "safetylock/progress.h"

namespace safetylock {

struct Weights {
  at::Tensor embedding;   ///< [V, E]
  at::Tensor final_norm;  ///< [E]
  at::Tensor lm_head;     ///< [V, E]; the embedding itself when tied
  std::vector<LayerWeights> layers;

  /// All tensors that are there, each once.
  std::vector<at::Tensor> tensors() const;
  std::int64_t bytes() const;
};

/// Throws limit.memory, model.tensor_*, num.nonfinite (also for float16 overflow), run.interrupted, and what
/// the checkpoint throws.
Weights load_weights(const Checkpoint& checkpoint, at::Device device, at::ScalarType dtype,
                     const ProgressCallback& on_progress = {});

class HeldWeights final : public WeightSource {
 public:
  explicit HeldWeights(Weights weights) : weights_(std::move(weights)) {}

  at::TensorOptions options() const override { return weights_.embedding.options(); }
  std::unique_ptr<LayerReader> read_layers() const override;
  const std::vector<LayerWeights>* held_layers() const override { return &weights_.layers; }
  at::Tensor embed(const at::Tensor& ids) const override;
  at::Tensor final_norm() const override { return weights_.final_norm; }
  at::Tensor to_vocabulary(const at::Tensor& x) const override;
  at::Tensor o_proj(std::int64_t layer) const override {
    return weights_.layers.at(static_cast<size_t>(layer)).o_proj;
  }
  std::int64_t bytes() const override { return weights_.bytes(); }
  std::int64_t bytes_held() const override { return weights_.bytes(); }

 private:
  Weights weights_;
};

}  // namespace safetylock
