#include "model/kernels/gated_activation.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "model/kernels/bfloat16_rows.h"
#include "model/kernels/cpu_clones.h"
#include "model/kernels/gated_lanes.h"
#include "model/kernels/scratch.h"

namespace safetylock {
namespace {

/// x sigmoid(y). Beyond 87 on either side sigmoid is 1, or too small to count.
SAFETYLOCK_INLINE float gated(float x, float y) {
  y = y < -87.0F ? -87.0F : y;
  y = y > 87.0F ? 87.0F : y;
  return x / (1.0F + exp_within_range(-y));
}

template <typename T>
SAFETYLOCK_FOR_EACH_CPU void gate_row(const T* gates, const T* ups, T* out, std::int64_t n, bool gelu) {
  if (gelu) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
      const float x = widened(gates[i]);
      const float twice_u = kTwiceRootOfTwoOverPi * (x + kCubicPart * x * x * x);
      out[i] = rounded<T>(as<T>(gated(x, twice_u)) * widened(ups[i]));
    }
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
      const float x = widened(gates[i]);
      out[i] = rounded<T>(as<T>(gated(x, x)) * widened(ups[i]));
    }
  }
}

template <typename T>
void gate(const T* gates, const T* ups, T* out, std::int64_t n, bool gelu) {
  if constexpr (std::is_same_v<T, at::BFloat16>) {
    if (has_bfloat16_rows()) return gate_bfloat16_row(gates, ups, out, n, gelu);
  }
  gate_row(gates, ups, out, n, gelu);
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
  const at::Tensor out = scratch({N, F}, gate_up.options());
  with_type(out.scalar_type(), [&]<typename T>() {
    const T* from = gate_up.const_data_ptr<T>();
    T* to = out.mutable_data_ptr<T>();
    at::parallel_for(0, N, std::max<std::int64_t>(1, (1 << 14) / F),
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t n = begin; n < end; ++n)
                         gate(from + 2 * n * F, from + (2 * n + 1) * F, to + n * F, F,
                              act == Activation::gelu_pytorch_tanh);
                     });
  });
  return out;
}

}  // namespace safetylock
