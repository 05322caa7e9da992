// Some of the heads that lie side by side in the rows of a pass.
#pragma once

#include <cstddef>

#include "model/torch_includes.h"

namespace safetylock {

/// Rows of `count` heads of `dim` values, each row in one piece. What a view of a tensor is, but for the
/// allocation: a decoding step would make hundreds.
class Heads {
 public:
  /// [N, count, dim], of which only the first dimension may have gaps.
  Heads(const at::Tensor& heads)  // NOLINT(google-explicit-constructor)
      : rows_(heads), first_(0), count_(heads.size(1)), dim_(heads.size(2)) {}
  /// Heads [first, first + count) of rows [N, all * dim].
  Heads(const at::Tensor& rows, std::int64_t first, std::int64_t count, std::int64_t dim)
      : rows_(rows), first_(first), count_(count), dim_(dim) {}

  std::int64_t rows() const { return rows_.size(0); }
  std::int64_t count() const { return count_; }
  std::int64_t dim() const { return dim_; }
  std::int64_t stride() const { return rows_.stride(0); }  ///< values from row to row
  bool is_cpu() const { return rows_.is_cpu(); }
  at::ScalarType dtype() const { return rows_.scalar_type(); }
  at::TensorOptions options() const { return rows_.options(); }
  const void* data() const {
    return static_cast<const std::byte*>(rows_.const_data_ptr()) +
           static_cast<size_t>(first_ * dim_) * rows_.element_size();
  }
  template <typename T>
  const T* data() const {
    return rows_.const_data_ptr<T>() + first_ * dim_;
  }
  template <typename T>
  T* mutable_data() const {
    return rows_.mutable_data_ptr<T>() + first_ * dim_;
  }

  /// [N, count, dim], for libtorch's operators.
  at::Tensor tensor() const {
    if (rows_.dim() == 3) return rows_;
    return rows_.narrow(1, first_ * dim_, count_ * dim_).unflatten(1, {count_, dim_});
  }

 private:
  at::Tensor rows_;
  std::int64_t first_, count_, dim_;
};

}  // namespace safetylock
