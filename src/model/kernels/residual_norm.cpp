#include "model/kernels/residual_norm.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "model/kernels/bfloat16_rows.h"
#include "model/kernels/cpu_clones.h"
#include "model/kernels/scratch.h"

#if defined(SAFETYLOCK_CUDA_KERNELS)
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "model/kernels/cuda/residual_norm.h"
#endif

namespace safetylock {
namespace {

template <typename T>
SAFETYLOCK_FOR_EACH_CPU void add(const T* x, const T* added, T* sum, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) sum[i] = rounded<T>(widened(x[i]) + widened(added[i]));
}

/// x and sum may be one.
template <typename T>
void add_two(const T* x, const T* added, T* sum, std::int64_t n) {
  if constexpr (std::is_same_v<T, at::BFloat16>) {
    if (has_bfloat16_rows()) return add_bfloat16_row(x, added, sum, n);
  }
  add(x, added, sum, n);
}

/// What a lock adds, rounded, then to `added`, rounded, then to x.
template <typename T, typename V>
SAFETYLOCK_FOR_EACH_CPU SAFETYLOCK_ROUND_PRODUCTS void add_three(const T* x, const T* added, const V* vector,
                                                                 float strength, T* sum, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float locked = as<T>(widened(added[i]) + as<T>(strength * widened(vector[i])));
    sum[i] = rounded<T>(widened(x[i]) + locked);
  }
}

std::int64_t rows_at_once(std::int64_t columns) {
  return std::max<std::int64_t>(1, (1 << 14) / columns);
}

/// `vector` [E], or null; `strengths` [N], or null: 1. then(n, sum) follows on each row.
template <typename T, typename V, typename F>
void add_rows_and(const at::Tensor& x, const at::Tensor& added, const V* vector, const float* strengths,
                  const at::Tensor& out, const F& then) {
  const std::int64_t E = x.size(1);
  const T *from = x.const_data_ptr<T>(), *other = added.const_data_ptr<T>();
  T* const sums = out.mutable_data_ptr<T>();
  at::parallel_for(0, x.size(0), rows_at_once(E), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      T* const sum = sums + n * E;
      const float strength = strengths == nullptr ? 1.0F : strengths[n];
      if (vector == nullptr || strength == 0) {  // rows of strength 0 keep their bits
        add_two(from + n * E, other + n * E, sum, E);
      } else {
        add_three(from + n * E, other + n * E, vector, strength, sum, E);
      }
      then(n, sum);
    }
  });
}

template <typename T, typename F>
void add_term_and(const at::Tensor& x, const at::Tensor& added, const RowTerm& lock, const at::Tensor& out,
                  const F& then) {
  if (lock.strengths.defined()) {
    add_rows_and<T>(x, added, lock.vector.const_data_ptr<float>(), lock.strengths.const_data_ptr<float>(),
                    out, then);
  } else {
    const T* const vector = lock.vector.defined() ? lock.vector.const_data_ptr<T>() : nullptr;
    add_rows_and<T>(x, added, vector, nullptr, out, then);
  }
}

ResidualNorm add_and_norm_on_cpu(const at::Tensor& x, const at::Tensor& attn_output, const RowTerm& lock,
                                 const at::Tensor& weight, NormRule rule) {
  ResidualNorm out{.sum = scratch(x.sizes(), x.options()), .normed = scratch(x.sizes(), x.options())};
  with_type(x.scalar_type(), [&]<typename T>() {
    const std::int64_t E = x.size(1);
    const T* const w = weight.const_data_ptr<T>();
    T* const normed = out.normed.mutable_data_ptr<T>();
    add_term_and<T>(x, attn_output, lock, out.sum, [&](std::int64_t n, const T* sum) {
      normalise_row(sum, w, normed + n * E, E, static_cast<float>(rule.eps), rule.unit_offset);
    });
  });
  return out;
}

}  // namespace

at::Tensor add_residual(const at::Tensor& x, const at::Tensor& attn_output, const RowTerm& lock) {
  at::Tensor sum = scratch(x.sizes(), x.options());
  with_type(x.scalar_type(),
            [&]<typename T>() { add_term_and<T>(x, attn_output, lock, sum, [](std::int64_t, const T*) {}); });
  return sum;
}

void add_rows(const at::Tensor& rows, const at::Tensor& added) {
  if (!rows.is_cpu()) {
    rows.add_(added);
    return;
  }
  const std::int64_t E = rows.size(1);
  with_type(rows.scalar_type(), [&]<typename T>() {
    T* const to = rows.mutable_data_ptr<T>();
    const T* const from = added.const_data_ptr<T>();
    at::parallel_for(0, rows.size(0), rows_at_once(E), [&](std::int64_t begin, std::int64_t end) {
      add_two(to + begin * E, from + begin * E, to + begin * E, (end - begin) * E);
    });
  });
}

ResidualNorm add_and_norm_by_operators(const at::Tensor& x, const at::Tensor& attn_output,
                                       const RowTerm& lock, const at::Tensor& weight, NormRule rule) {
  add_term(attn_output, lock);
  at::Tensor sum = x + attn_output;
  at::Tensor normed = rms_norm(sum, weight, rule);
  return {.sum = std::move(sum), .normed = std::move(normed)};
}

#if defined(SAFETYLOCK_CUDA_KERNELS)
namespace {

cuda::Element element_of(at::ScalarType type) {
  if (type == at::kBFloat16) return cuda::Element::bfloat16;
  return type == at::kHalf ? cuda::Element::float16 : cuda::Element::float32;
}

ResidualNorm add_and_norm_on_cuda(const at::Tensor& x, const at::Tensor& attn_output, const RowTerm& lock,
                                  const at::Tensor& weight, NormRule rule) {
  const c10::cuda::CUDAGuard device(x.device());
  const at::Tensor rows = x.contiguous(), added = attn_output.contiguous();
  ResidualNorm out{.sum = at::empty(rows.sizes(), rows.options()),
                   .normed = at::empty(rows.sizes(), rows.options())};
  C10_CUDA_CHECK(cuda::launch_residual_norm(
      {.element = element_of(x.scalar_type()),
       .x = rows.const_data_ptr(),
       .attn_output = added.const_data_ptr(),
       .vector = lock.vector.defined() ? lock.vector.const_data_ptr() : nullptr,
       .vector_is_float32 = lock.vector.defined() && lock.vector.scalar_type() == at::kFloat,
       .strengths = lock.strengths.defined() ? lock.strengths.const_data_ptr<float>() : nullptr,
       .weight = weight.const_data_ptr(),
       .sum = out.sum.mutable_data_ptr(),
       .normed = out.normed.mutable_data_ptr(),
       .rows = rows.size(0),
       .columns = rows.size(1),
       .eps = static_cast<float>(rule.eps),
       .unit_offset = rule.unit_offset},
      at::cuda::getCurrentCUDAStream()));
  return out;
}

}  // namespace
#endif

ResidualNorm add_and_norm(const at::Tensor& x, const at::Tensor& attn_output, const RowTerm& lock,
                          const at::Tensor& weight, NormRule rule) {
#if defined(SAFETYLOCK_CUDA_KERNELS)
  if (x.is_cuda()) return add_and_norm_on_cuda(x, attn_output, lock, weight, rule);
#endif
  if (x.is_cpu()) return add_and_norm_on_cpu(x, attn_output, lock, weight, rule);
  return add_and_norm_by_operators(x, attn_output, lock, weight, rule);
}

}  // namespace safetylock
