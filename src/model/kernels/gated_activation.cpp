#include "model/kernels/gated_activation.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "model/kernels/cpu_clones.h"

namespace safetylock {
namespace {

SAFETYLOCK_INLINE float sigmoid(float x) {
  const float e = exp_of_nonpositive(-std::abs(x));
  return (x < 0 ? e : 1.0F) / (1.0F + e);
}

template <typename T>
SAFETYLOCK_FOR_EACH_CPU void gate_row(const T* gates, const T* ups, T* out, std::int64_t n, bool gelu) {
  if (gelu) {
    // 0.5 x (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
      const float x = widened(gates[i]);
      const float twice_u = 1.5957691216057308F * (x + 0.044715F * x * x * x);
      out[i] = rounded<T>(as<T>(x * sigmoid(twice_u)) * widened(ups[i]));
    }
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
      const float x = widened(gates[i]);
      out[i] = rounded<T>(as<T>(x * sigmoid(x)) * widened(ups[i]));
    }
  }
}

}  // namespace

at::Tensor gated_activation_by_operators(const at::Tensor& gate_up, Activation act) {
  const std::vector<at::Tensor> parts = gate_up.chunk(2, -1);
  at::Tensor gates = act == Activation::gelu_pytorch_tanh ? at::gelu(parts[0], "tanh") : at::silu(parts[0]);
  return gates.mul_(parts[1]);
}

at::Tensor gated_activation(const at::Tensor& gate_up, Activation act) {
  if (!gate_up.is_cpu()) return gated_activation_by_operators(gate_up, act);
  const std::int64_t N = gate_up.size(0), F = gate_up.size(1) / 2;
  const at::Tensor out = at::empty({N, F}, gate_up.options());
  with_type(out.scalar_type(), [&]<typename T>() {
    const T* from = gate_up.const_data_ptr<T>();
    T* to = out.mutable_data_ptr<T>();
    at::parallel_for(0, N, std::max<std::int64_t>(1, (1 << 14) / F),
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t n = begin; n < end; ++n)
                         gate_row(from + 2 * n * F, from + (2 * n + 1) * F, to + n * F, F,
                                  act == Activation::gelu_pytorch_tanh);
                     });
  });
  return out;
}

}  // namespace safetylock
