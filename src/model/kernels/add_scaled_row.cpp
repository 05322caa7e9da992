#include "model/kernels/add_scaled_row.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "model/kernels/cpu_clones.h"

namespace safetylock {
namespace {

template <typename T>
SAFETYLOCK_INLINE void add(T* row, const float* vector, float strength, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) row[i] = rounded<T>(widened(row[i]) + as<T>(strength * vector[i]));
}

SAFETYLOCK_FOR_EACH_CPU void add_to_row(float* row, const float* vector, float strength, std::int64_t n) {
  add(row, vector, strength, n);
}
SAFETYLOCK_FOR_EACH_CPU void add_to_row(at::BFloat16* row, const float* vector, float strength,
                                        std::int64_t n) {
  add(row, vector, strength, n);
}
SAFETYLOCK_FOR_EACH_CPU void add_to_row(at::Half* row, const float* vector, float strength, std::int64_t n) {
  add(row, vector, strength, n);
}

}  // namespace

void add_scaled_row_by_operators(const at::Tensor& rows, const at::Tensor& vector,
                                 const at::Tensor& strengths) {
  rows.add_((strengths * vector).to(rows.scalar_type()));
}

void add_scaled_row(const at::Tensor& rows, const at::Tensor& vector, const at::Tensor& strengths) {
  if (!rows.is_cpu()) return add_scaled_row_by_operators(rows, vector, strengths);
  const std::int64_t E = rows.size(1);
  with_type(rows.scalar_type(), [&]<typename T>() {
    T* const values = rows.mutable_data_ptr<T>();
    const float *const v = vector.const_data_ptr<float>(), *const s = strengths.const_data_ptr<float>();
    const bool alike = strengths.size(0) == 1;
    at::parallel_for(0, rows.size(0), std::max<std::int64_t>(1, (1 << 15) / E),
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t n = begin; n < end; ++n) {
                         const float strength = s[alike ? 0 : n];
                         if (strength != 0) add_to_row(values + n * E, v, strength, E);
                       }
                     });
  });
}

}  // namespace safetylock
