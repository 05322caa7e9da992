// The gated activation of sixteen values at a time, good for bfloat16, on processors with AVX512-BF16.
#pragma once

#include "model/kernels/bfloat16_lanes.h"
#include "model/kernels/cpu_clones.h"

namespace safetylock {

// gelu: 0.5 x (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
inline constexpr float kTwiceRootOfTwoOverPi = 1.5957691216057308F, kCubicPart = 0.044715F;

#if defined(__x86_64__)
/// x sigmoid(y). Where y is below -87 that is too small to count.
SAFETYLOCK_BFLOAT16_INLINE __m512 gated(__m512 x, __m512 y) {
  const __m512 sum = 1.0F + power_of_two(_mm512_min_ps(y * -kLog2E, _mm512_set1_ps(87.0F * kLog2E)));
  const __m512 near = _mm512_rcp14_ps(sum);
  return x * (near * (2.0F - sum * near));
}

SAFETYLOCK_BFLOAT16_INLINE __m512 activated(__m512 x, bool gelu) {
  return gated(x, gelu ? kTwiceRootOfTwoOverPi * (x + kCubicPart * x * x * x) : x);
}
#endif

}  // namespace safetylock
