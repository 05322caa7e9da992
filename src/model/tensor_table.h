// Names and shapes of every tensor a decoder needs, as data: a checkpoint is checked against this table
// before any maths.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "safetylock/model_config.h"

namespace safetylock {

/// What a tensor is for. Letters as in model_config.h.
enum class TensorRole {
  embedding,    // [V, E]
  final_norm,   // [E]
  lm_head,      // [V, E]
  input_norm,   // [E]
  q_weight,     // [H*D, E]
  q_bias,       // [H*D]
  k_weight,     // [G*D, E]
  k_bias,       // [G*D]
  v_weight,     // [G*D, E]
  v_bias,       // [G*D]
  o_weight,     // [E, H*D]
  o_bias,       // [E]
  post_norm,    // [E]
  gate_weight,  // [F, E]
  gate_bias,    // [F]
  up_weight,    // [F, E]
  up_bias,      // [F]
  down_weight,  // [E, F]
  down_bias,    // [E]
};

struct TensorSpec {
  TensorRole role;
  std::int64_t layer;  ///< -1 for tensors outside the layers
  std::string name;    ///< Hugging Face name
  std::vector<std::int64_t> shape;
};

/// All tensors of a Llama or Qwen2 model, without the lm_head of a tied one.
std::vector<TensorSpec> tensor_table(const ModelConfig& config);

/// Throws Error model.tensor_missing, model.tensor_shape, model.tensor_extra (a tensor that would be
/// ignored).
void check_tensors(const Checkpoint& checkpoint);

}  // namespace safetylock
