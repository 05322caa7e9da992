#include "model/kernels/add_scaled_row.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "model/kernels/cpu_clones.h"

namespace safetylock {
namespace {

template <typename T, typename V>
SAFETYLOCK_FOR_EACH_CPU SAFETYLOCK_ROUND_PRODUCTS void add_to_row(T* row, const V* vector, float strength,
                                                                  std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i)
    row[i] = rounded<T>(widened(row[i]) + as<T>(strength * widened(vector[i])));
}

/// `strengths` [N], or null: 1.
template <typename T, typename V>
void add_to_rows(const at::Tensor& rows, const V* vector, const float* strengths) {
  T* const values = rows.mutable_data_ptr<T>();
  const std::int64_t E = rows.size(1);
  at::parallel_for(0, rows.size(0), std::max<std::int64_t>(1, (1 << 15) / E),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t n = begin; n < end; ++n) {
                       const float strength = strengths == nullptr ? 1.0F : strengths[n];
                       if (strength != 0) add_to_row(values + n * E, vector, strength, E);
                     }
                   });
}

}  // namespace

void add_row(const at::Tensor& rows, const at::Tensor& vector) {
  if (!rows.is_cpu()) {
    rows.add_(vector);
    return;
  }
  with_type(rows.scalar_type(),
            [&]<typename T>() { add_to_rows<T>(rows, vector.const_data_ptr<T>(), nullptr); });
}

void add_scaled_row_by_operators(const at::Tensor& rows, const at::Tensor& vector,
                                 const at::Tensor& strengths) {
  rows.add_((strengths * vector).to(rows.scalar_type()));
}

void add_scaled_row(const at::Tensor& rows, const at::Tensor& vector, const at::Tensor& strengths) {
  if (!rows.is_cpu()) return add_scaled_row_by_operators(rows, vector, strengths);
  with_type(rows.scalar_type(), [&]<typename T>() {
    add_to_rows<T>(rows, vector.const_data_ptr<float>(), strengths.const_data_ptr<float>());
  });
}

void add_term(const at::Tensor& rows, const RowTerm& term) {
  if (!term.vector.defined()) return;
  if (term.strengths.defined()) {
    add_scaled_row(rows, term.vector, term.strengths);
  } else {
    add_row(rows, term.vector);
  }
}

}  // namespace safetylock
