// x W^T on the CPU: weights stay as they are stored and are widened in registers.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/kernels/instruction_set.h"

namespace safetylock {

/// x [N, in], or [N, heads, in / heads] contiguous, times weight [out, in] transposed, plus bias [out] where
/// defined, in x's dtype: [N, out]. float32, bfloat16 or float16 on the CPU, all of one dtype, the weight
/// contiguous. The values are widened to float32 in registers, summed there, and rounded once. A value
/// depends neither on the other rows nor on the threads; only from kPanelsFrom rows on, on tiles from 5, its
/// terms are added in another order. libtorch's products read a bfloat16 weight at half the speed of memory
/// for a single row, lose more than that for 2 to 60 rows, and multiply bfloat16 at half the speed of float32
/// where the processor does.
at::Tensor cpu_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// As cpu_linear with one of the instruction sets that this host has.
at::Tensor cpu_linear_with(InstructionSet set, const at::Tensor& x, const at::Tensor& weight,
                           const at::Tensor& bias);

}  // namespace safetylock
