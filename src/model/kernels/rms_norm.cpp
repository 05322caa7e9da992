#include "model/kernels/rms_norm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "model/kernels/bfloat16_rows.h"
#include "model/kernels/cpu_clones.h"
#include "model/kernels/scratch.h"

namespace safetylock {

namespace {

template <typename T>
SAFETYLOCK_FOR_EACH_CPU void normalise(const T* x, const T* weight, T* out, std::int64_t n, float eps,
                                       bool unit_offset) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (std::int64_t i = 0; i < n; ++i) squares += widened(x[i]) * widened(x[i]);
  const float scale = 1.0F / std::sqrt(squares / static_cast<float>(n) + eps);
  if (unit_offset) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = rounded<T>(widened(x[i]) * scale * (1.0F + widened(weight[i])));
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = rounded<T>(widened(weight[i]) * as<T>(widened(x[i]) * scale));
  }
}

}  // namespace

template <typename T>
void normalise_row(const T* x, const T* weight, T* out, std::int64_t n, float eps, bool unit_offset) {
  if constexpr (std::is_same_v<T, at::BFloat16>) {
    if (has_bfloat16_rows()) return normalise_bfloat16_row(x, weight, out, n, eps, unit_offset);
  }
  normalise(x, weight, out, n, eps, unit_offset);
}

template void normalise_row(const float*, const float*, float*, std::int64_t, float, bool);
template void normalise_row(const at::BFloat16*, const at::BFloat16*, at::BFloat16*, std::int64_t, float,
                            bool);
template void normalise_row(const at::Half*, const at::Half*, at::Half*, std::int64_t, float, bool);

namespace {

/// out may be x.
void normalise_rows(const Heads& x, const at::Tensor& weight, const Heads& out, NormRule rule) {
  const std::int64_t H = x.count(), D = x.dim();
  with_type(x.dtype(), [&]<typename T>() {
    const T *from = x.data<T>(), *w = weight.const_data_ptr<T>();
    T* to = out.mutable_data<T>();
    const auto eps = static_cast<float>(rule.eps);
    at::parallel_for(0, x.rows() * H, std::max<std::int64_t>(1, (1 << 15) / D),
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t row = begin; row < end; ++row) {
                         const std::int64_t n = row / H, h = row % H;
                         normalise_row(from + n * x.stride() + h * D, w, to + n * out.stride() + h * D, D,
                                       eps, rule.unit_offset);
                       }
                     });
  });
}

}  // namespace

at::Tensor rms_norm_by_operators(const at::Tensor& x, const at::Tensor& weight, NormRule rule) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = at::rsqrt(at::square(wide).mean(-1, true).add_(rule.eps));
  if (rule.unit_offset) return (wide * scale).mul_(weight.to(at::kFloat).add(1.0)).to(x.scalar_type());
  return weight * (wide * scale).to(x.scalar_type());
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, NormRule rule) {
  if (!x.is_cpu()) return rms_norm_by_operators(x, weight, rule);
  const at::Tensor rows = x.contiguous();
  const at::Tensor out = scratch(rows.sizes(), rows.options());
  const std::int64_t n = x.size(-1);
  if (x.dim() == 2) {
    normalise_rows({rows, 0, 1, n}, weight, {out, 0, 1, n}, rule);
  } else {
    normalise_rows(rows.view({-1, 1, n}), weight, out.view({-1, 1, n}), rule);
  }
  return out;
}

void rms_norm_in_place(const Heads& heads, const at::Tensor& weight, NormRule rule) {
  if (heads.is_cpu()) {
    normalise_rows(heads, weight, heads, rule);
  } else {
    const at::Tensor values = heads.tensor();
    values.copy_(rms_norm_by_operators(values, weight, rule));
  }
}

}  // namespace safetylock
