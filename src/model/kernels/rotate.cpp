#include "model/kernels/rotate.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "model/kernels/bfloat16_rows.h"
#include "model/kernels/cpu_clones.h"

namespace safetylock {
namespace {

template <typename T>
SAFETYLOCK_FOR_EACH_CPU SAFETYLOCK_ROUND_PRODUCTS void rotate(T* first, T* second, const T* cos, const T* sin,
                                                              std::int64_t half) {
#pragma omp simd
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = widened(first[i]), b = widened(second[i]), c = widened(cos[i]), s = widened(sin[i]);
    first[i] = rounded<T>(as<T>(a * c) - as<T>(b * s));
    second[i] = rounded<T>(as<T>(b * c) + as<T>(a * s));
  }
}

template <typename T>
void rotate_head(T* head, const T* cos, const T* sin, std::int64_t half) {
  if constexpr (std::is_same_v<T, at::BFloat16>) {
    if (has_bfloat16_rows()) return rotate_bfloat16_pairs(head, head + half, cos, sin, half);
  }
  rotate(head, head + half, cos, sin, half);
}

}  // namespace

void rotate_by_operators(const at::Tensor& heads, const at::Tensor& cos, const at::Tensor& sin) {
  const std::int64_t half = cos.size(2);
  const at::Tensor first = heads.narrow(2, 0, half), second = heads.narrow(2, half, half);
  const at::Tensor rotated = first * cos - second * sin;
  second.copy_(second * cos + first * sin);
  first.copy_(rotated);
}

void rotate_in_place(const Heads& heads, const at::Tensor& cos, const at::Tensor& sin) {
  if (!heads.is_cpu()) return rotate_by_operators(heads.tensor(), cos, sin);
  const std::int64_t H = heads.count(), half = cos.size(2);
  with_type(heads.dtype(), [&]<typename T>() {
    T* const values = heads.mutable_data<T>();
    const T *c = cos.const_data_ptr<T>(), *s = sin.const_data_ptr<T>();
    at::parallel_for(0, heads.rows(), std::max<std::int64_t>(1, (1 << 14) / (H * half)),
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t n = begin; n < end; ++n) {
                         for (std::int64_t h = 0; h < H; ++h) {
                           rotate_head(values + n * heads.stride() + h * heads.dim(), c + n * half,
                                       s + n * half, half);
                         }
                       }
                     });
  });
}

}  // namespace safetylock
