// A lock's vector onto rows: the same for all, or each with a strength of its own.
#pragma once

#include "model/torch_includes.h"

namespace safetylock {

/// rows[n] += vector, in place: rows [N, E] contiguous, vector [E] in their dtype. On the CPU one kernel,
/// elsewhere libtorch's operator.
void add_row(const at::Tensor& rows, const at::Tensor& vector);

/// rows[n] += strengths[n] * vector, the product rounded to the rows' dtype first, in place: rows [N, E]
/// contiguous, vector [E] float32, strengths [N, 1] float32, all on one device. Rows of strength 0 keep their
/// bits. On the CPU one kernel, elsewhere add_scaled_row_by_operators.
void add_scaled_row(const at::Tensor& rows, const at::Tensor& vector, const at::Tensor& strengths);

/// The same in libtorch's operators: on CUDA, and in the tests.
void add_scaled_row_by_operators(const at::Tensor& rows, const at::Tensor& vector,
                                 const at::Tensor& strengths);

}  // namespace safetylock
