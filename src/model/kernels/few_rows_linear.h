// x W^T for a handful of rows, where reading the weights is most of the work.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace safetylock {

/// x [N, in] times weight [out, in] transposed, plus bias [out] where defined, in `out_dtype` (x's dtype or
/// float32): [N, out]. float32, bfloat16 or float16 on the CPU, all of one dtype, contiguous. The values are
/// widened to float32 in registers, summed there, and rounded once. A value depends neither on the other rows
/// nor on the threads; only for 32 rows and more its terms are added in another order.
/// libtorch's own products read a bfloat16 weight at half the speed of memory for a single row, and lose more
/// than that for 2 to 60 rows.
at::Tensor few_rows_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           at::ScalarType out_dtype);

/// The instruction sets that it is written for, "avx512", "avx2" and "portable": those that this host has,
/// best first.
std::vector<std::string> few_rows_instruction_sets();
/// As few_rows_linear with one of these.
at::Tensor few_rows_linear_with(const std::string& instruction_set, const at::Tensor& x,
                                const at::Tensor& weight, const at::Tensor& bias, at::ScalarType out_dtype);

}  // namespace safetylock
