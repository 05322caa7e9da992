// A decoder's weights in memory, immutable after loading. q, k and v are rows of one matrix, and so are gate
// and up: four matrix products a layer instead of seven.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/checkpoint.h"
#include "model/torch_includes.h"
#include "safetylock/progress.h"

namespace safetylock {

/// What the model does not have (biases, norms) are undefined tensors.
struct LayerWeights {
  at::Tensor input_norm;        ///< [E]
  at::Tensor qkv;               ///< [(H+2G)*D, E]
  at::Tensor qkv_bias;          ///< [(H+2G)*D]
  at::Tensor q_norm;            ///< [D]
  at::Tensor k_norm;            ///< [D]
  at::Tensor o_proj;            ///< [E, H*D]
  at::Tensor o_proj_bias;       ///< [E]
  at::Tensor attn_output_norm;  ///< [E]
  at::Tensor mlp_norm;          ///< [E]
  at::Tensor gate_up;           ///< [2F, E]
  at::Tensor gate_up_bias;      ///< [2F]
  at::Tensor down;              ///< [E, F]
  at::Tensor down_bias;         ///< [E]
  at::Tensor mlp_output_norm;   ///< [E]
};

struct Weights {
  at::Tensor embedding;   ///< [V, E]
  at::Tensor final_norm;  ///< [E]
  at::Tensor lm_head;     ///< [V, E]; the embedding itself when tied
  std::vector<LayerWeights> layers;

  /// All tensors that are there, each once.
  std::vector<at::Tensor> tensors() const;
  std::int64_t bytes() const;
};

/// Reads every tensor, a few rows at a time on all threads, as float32 and rounds it once to `dtype`: beside
/// the weights themselves only small buffers are held (on other devices than the CPU: one tensor). Throws
/// model.tensor_* , num.nonfinite (also for float16 overflow), run.interrupted, and what the checkpoint
/// throws.
Weights load_weights(const Checkpoint& checkpoint, at::Device device, at::ScalarType dtype,
                     const ProgressCallback& on_progress = {});

}  // namespace safetylock
