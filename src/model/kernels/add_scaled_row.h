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

/// What a lock adds to the rows of a layer: strengths[n] * vector, or vector where all rows are alike.
struct RowTerm {
  at::Tensor vector;  ///< [E]: float32 with strengths, else in the rows' dtype; undefined: nothing is added
  at::Tensor strengths;  ///< [N, 1] float32, or undefined
};
void add_term(const at::Tensor& rows, const RowTerm& term);

/// The same in libtorch's operators: on CUDA, and in the tests.
void add_scaled_row_by_operators(const at::Tensor& rows, const at::Tensor& vector,
                                 const at::Tensor& strengths);

}  // namespace safetylock
