// x W^T + b, the way that is quickest on this machine.
#pragma once

#include "model/kernels/rms_norm.h"
#include "model/torch_includes.h"

namespace safetylock {

/// x [N, in], or [N, heads, in / heads] contiguous, times weight [out, in] transposed, plus bias [out] where
/// defined: [N, out] in x's dtype. Products are summed in float32 and rounded once.
at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// Of x's norm, x [N, in]; in one pass over x where there are matrix tiles.
at::Tensor apply_linear_to_norm(const at::Tensor& x, const Norm& norm, const at::Tensor& weight,
                                const at::Tensor& bias);

/// Whether that is cpu_linear, for rows of `in` values; otherwise it is libtorch's product.
bool is_for_cpu_linear(const at::Tensor& x, std::int64_t in);

}  // namespace safetylock
