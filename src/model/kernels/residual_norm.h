// What stands between attention and MLP: residual addition, a lock's vector, and the norm.
#pragma once

#include "model/kernels/add_scaled_row.h"
#include "model/kernels/rms_norm.h"
#include "model/torch_includes.h"

namespace safetylock {

struct ResidualNorm {
  at::Tensor sum;     ///< x + attn_output + the lock's term
  at::Tensor normed;  ///< rms_norm of it
};

/// For x and attn_output [N, E] contiguous; `attn_output` may be changed. One kernel on the CPU, and on CUDA
/// if the library was built with SAFETYLOCK_CUDA_KERNELS; elsewhere add_and_norm_by_operators. Every addition
/// is rounded, the lock's first.
ResidualNorm add_and_norm(const at::Tensor& x, const at::Tensor& attn_output, const RowTerm& lock,
                          const at::Tensor& weight, NormRule rule);

/// The sum alone, on the CPU.
at::Tensor add_residual(const at::Tensor& x, const at::Tensor& attn_output, const RowTerm& lock);

/// rows += added, both [N, E] contiguous.
void add_rows(const at::Tensor& rows, const at::Tensor& added);

/// The same as add_and_norm, step by step.
ResidualNorm add_and_norm_by_operators(const at::Tensor& x, const at::Tensor& attn_output,
                                       const RowTerm& lock, const at::Tensor& weight, NormRule rule);

}  // namespace safetylock
