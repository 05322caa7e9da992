// x W^T + b, the way that is quickest on this machine.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace safetylock {

/// x [N, in] times weight [out, in] transposed, plus bias [out] where defined: [N, out] in x's dtype.
/// Products are summed in float32 and rounded once.
at::Tensor apply_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// As apply_linear, for bfloat16 on the CPU: blocks of the weight are widened to float32, which bounds the
/// scratch memory, and multiplied there. What apply_linear does from kWidenedRows rows on where float32
/// arithmetic is the quicker one.
at::Tensor widened_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// Rows from which on these ways win on the CPU over few_rows_linear: widened_linear (or libtorch's product)
/// for bfloat16 and float16, libtorch's product for float32.
inline constexpr std::int64_t kWidenedRows = 96, kFewRows = 64;

}  // namespace safetylock
