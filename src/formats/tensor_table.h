// Names and shapes of every tensor that a model of a given config consists of, as data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "safetylock/model_config.h"

namespace safetylock {

/// What a tensor is for. Letters as in model_config.h.
enum class TensorRole {
  embedding,         // [V, E]
  final_norm,        // [E]
  lm_head,           // [V, E]
  input_norm,        // [E]
  q_weight,          // [H*D, E]
  q_bias,            // [H*D]
  k_weight,          // [G*D, E]
  k_bias,            // [G*D]
  v_weight,          // [G*D, E]
  v_bias,            // [G*D]
  qkv_weight,        // [(H+2G)*D, E], where q, k and v are one
  q_norm,            // [D]
  k_norm,            // [D]
  o_weight,          // [E, H*D]
  o_bias,            // [E]
  attn_output_norm,  // [E], of what o_proj gives
  mlp_norm,          // [E], before the MLP
  gate_weight,       // [F, E]
  gate_bias,         // [F]
  up_weight,         // [F, E]
  up_bias,           // [F]
  gate_up_weight,    // [2F, E], where gate and up are one
  down_weight,       // [E, F]
  down_bias,         // [E]
  mlp_output_norm,   // [E], of what the MLP gives
};

struct TensorSpec {
  TensorRole role;
  std::int64_t layer;  ///< -1 for tensors outside the layers
  std::string name;    ///< Hugging Face name
  std::string gguf;    ///< name in a GGUF file
  std::vector<std::uint64_t> shape;
};

/// All tensors in model order, without the lm_head of a tied model.
std::vector<TensorSpec> tensor_table(const ModelConfig& config);

}  // namespace safetylock
