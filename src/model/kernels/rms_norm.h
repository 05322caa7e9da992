// Root mean square norm of rows.
#pragma once

#include "model/kernels/heads.h"

namespace safetylock {

struct NormRule {
  double eps;
  bool unit_offset = false;  ///< multiply by 1 + weight, rounded after that (HF: GemmaRMSNorm)
};

struct Norm {
  const at::Tensor& weight;  ///< [n]
  NormRule rule;
};

/// x / sqrt(mean(x^2) + eps) over the last dimension in float32, rounded, times the weight (HF:
/// LlamaRMSNorm), for x [.., n] and weight [n]. On the CPU one kernel, elsewhere rms_norm_by_operators.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, NormRule rule);

/// rms_norm of one row of n values on the CPU, for kernels that have just made it; float32, bfloat16,
/// float16.
template <typename T>
void normalise_row(const T* x, const T* weight, T* out, std::int64_t n, float eps, bool unit_offset);

/// rms_norm of each head, written over it.
void rms_norm_in_place(const Heads& heads, const at::Tensor& weight, NormRule rule);

/// The same in libtorch's operators: on CUDA, and in the tests.
at::Tensor rms_norm_by_operators(const at::Tensor& x, const at::Tensor& weight, NormRule rule);

}  // namespace safetylock
