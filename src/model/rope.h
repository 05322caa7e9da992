// Rotary position embedding, half against half as Hugging Face lays it out.
#pragma once

#include "model/torch_includes.h"
#include "safetylock/model_config.h"

namespace safetylock {

/// [D/2] float32 on the CPU, with the config's scaling (HF: modeling_rope_utils.py).
at::Tensor inverse_frequencies(const ModelConfig& config);

/// Cosines and sines of N rows, [N, 1, D/2], computed in float32 and rounded to the model's dtype.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};
/// `positions` [N] int64; the table is on the device of `inverse_frequencies` [D/2].
RopeTable rope_table(const at::Tensor& inverse_frequencies, const at::Tensor& positions,
                     at::ScalarType dtype);

/// Rotates `heads` [N, any, D] in place.
void rotate_in_place(const at::Tensor& heads, const RopeTable& table);

}  // namespace safetylock
