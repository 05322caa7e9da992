// Rotary position embedding of heads, in place.
#pragma once

#include "model/kernels/heads.h"

namespace safetylock {

/// Rotates the pairs (i, half + i) of every head by the angle of its row (HF: apply_rotary_pos_emb), for
/// `heads` and cos, sin [N, 1, half], half <= D / 2, in the heads'
/// dtype. Products and sums are rounded one by one. On the CPU one kernel, elsewhere rotate_by_operators.
void rotate_in_place(const Heads& heads, const at::Tensor& cos, const at::Tensor& sin);

/// The same in libtorch's operators: on CUDA, and in the tests.
void rotate_by_operators(const at::Tensor& heads, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace safetylock
