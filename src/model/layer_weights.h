// The weights of one layer, as passes use them. q, k and v are rows of one matrix, and so are gate and up:
// four matrix products a layer instead of seven.
#pragma once

#include <vector>

#include "formats/tensor_table.h"
#include "model/torch_includes.h"
#include "safetylock/model_config.h"

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

  /// The ones that are there.
  std::vector<at::Tensor> tensors() const;
  /// Where a tensor of the files belongs: a whole tensor or rows of a fused one. Throws model.tensor_missing
  /// for a role outside the layers.
  at::Tensor place_of(const TensorSpec& spec, const ModelConfig& config) const;
  /// Lets go of biases whose values are all 0. A baked Llama folder has hundreds of them: its config can only
  /// say attention_bias for all projections of all layers.
  void drop_zero_biases();
};

/// A tensor whose values are not set. Large ones ask for huge pages: a lock reads a few columns of every row
/// of W_o, and finding the row's page costs more than reading it.
at::Tensor empty_weight(at::IntArrayRef shape, const at::TensorOptions& options);
LayerWeights empty_layer(const ModelConfig& config, const at::TensorOptions& options);

}  // namespace safetylock
