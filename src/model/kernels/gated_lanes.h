// The gated activation of sixteen values at a time, good for bfloat16, on processors with AVX512-BF16.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#include <bit>
#endif

#include "model/kernels/cpu_clones.h"

namespace safetylock {

// gelu: 0.5 x (1 + tanh(u)) = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
inline constexpr float kTwiceRootOfTwoOverPi = 1.5957691216057308F, kCubicPart = 0.044715F;

#if defined(__x86_64__)
// Everything that passes vectors is inlined; and GCC bug 105593: intrinsics leave undefined on purpose what
// they do not need.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wpsabi"
#define SAFETYLOCK_BFLOAT16_LANES gnu::target("avx512f,avx512bw,avx512vl,avx512bf16,prefer-vector-width=512")
#define SAFETYLOCK_BFLOAT16_INLINE [[SAFETYLOCK_BFLOAT16_LANES, gnu::always_inline]] inline

SAFETYLOCK_BFLOAT16_INLINE __m512 widened(__m256i values) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
}

SAFETYLOCK_BFLOAT16_INLINE __m512 as_bfloat16(__m512 values) {
  return widened(std::bit_cast<__m256i>(_mm512_cvtneps_pbh(values)));
}

/// x sigmoid(y), with a reciprocal that is good for bfloat16 many times over. Beyond 87 on either side
/// sigmoid is 1, or too small to count.
SAFETYLOCK_BFLOAT16_INLINE __m512 gated(__m512 x, __m512 y) {
  const __m512 bound = _mm512_set1_ps(87.0F), one = _mm512_set1_ps(1.0F);
  const __m512 from = _mm512_max_ps(_mm512_min_ps(-y, bound), -bound);
  const __m512 n = _mm512_roundscale_ps(from * kLog2E, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = (from - n * kLn2High) - n * kLn2Low;
  constexpr const float* c = kExpPolynomial;
  const __m512 p = ((((((c[0] * f + c[1]) * f + c[2]) * f + c[3]) * f + c[4]) * f + c[5]) * f) * f + f + 1.0F;
  const __m512 sum = one + _mm512_scalef_ps(p, n);
  const __m512 near = _mm512_rcp14_ps(sum);
  return x * (near * (2.0F - sum * near));
}

SAFETYLOCK_BFLOAT16_INLINE __m512 activated(__m512 x, bool gelu) {
  return gated(x, gelu ? kTwiceRootOfTwoOverPi * (x + kCubicPart * x * x * x) : x);
}
#endif

}  // namespace safetylock
