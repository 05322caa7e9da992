// From tensors of all heads to the contiguous rows of one, with the checks that every analysis starts with.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "analysis/row_kernels.h"

namespace safetylock {

/// All heads' values on the CPU, to be read one head at a time.
class HeadValues {
 public:
  /// `values` [N, M, D] or [N, L, H, D] of a floating-point dtype, on any device. Throws arg.shape,
  /// arg.dtype; `function` names the caller in the error.
  HeadValues(const at::Tensor& values, const char* function);

  std::int64_t rows() const noexcept { return rows_; }    ///< N
  std::int64_t heads() const noexcept { return heads_; }  ///< M, or L*H
  std::int64_t dim() const noexcept { return dim_; }      ///< D

  /// Fills `out` [N, padded_row_length(D)] with the rows of `head`, widened to double. Throws num.nonfinite.
  void gather(std::int64_t head, std::vector<double>& out) const;
  /// "layer 3, head 2", or "head 2" for a tensor without layers.
  std::string name(std::int64_t head) const;

 private:
  at::Tensor values_;  // [N, M, D] contiguous
  std::int64_t rows_ = 0;
  std::int64_t heads_ = 0;
  std::int64_t dim_ = 0;
  std::int64_t heads_per_layer_ = 0;  // 0: no layers
};

/// Labels as a vector. Throws arg.shape, arg.dtype, arg.range (neither 0 nor 1), data.single_class (with both
/// counts).
std::vector<std::int64_t> checked_labels(const at::Tensor& labels, std::int64_t rows, const char* function);

/// [N] int64 as a vector. Throws arg.shape, arg.dtype.
std::vector<std::int64_t> checked_integers(const at::Tensor& tensor, std::int64_t rows, const char* function,
                                           const char* argument);

/// The labels of `rows`, in their order.
std::vector<std::int64_t> labels_at(std::span<const std::int64_t> labels,
                                    const std::vector<std::int64_t>& rows);

/// 0, 1, ..., n - 1.
std::vector<std::int64_t> all_rows(std::int64_t n);

}  // namespace safetylock
