#include "model/kernels/residual_norm.h"

#if defined(SAFETYLOCK_CUDA_KERNELS)
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "model/kernels/cuda/residual_norm.h"
#endif

namespace safetylock {

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
  return add_and_norm_by_operators(x, attn_output, lock, weight, rule);
}

}  // namespace safetylock
