// Arithmetic on sixteen values at a time, good for bfloat16, on processors with AVX512-BF16.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#include <bit>

// Everything that passes vectors is inlined; and GCC bug 105593: intrinsics leave undefined on purpose what
// they do not need.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wpsabi"
#define SAFETYLOCK_BFLOAT16_LANES \
  gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,prefer-vector-width=512")
#define SAFETYLOCK_BFLOAT16_INLINE [[SAFETYLOCK_BFLOAT16_LANES, gnu::always_inline]] inline

namespace safetylock {

SAFETYLOCK_BFLOAT16_INLINE __m512 widened(__m256i values) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
}

SAFETYLOCK_BFLOAT16_INLINE __m512 as_bfloat16(__m512 values) {
  return widened(std::bit_cast<__m256i>(_mm512_cvtneps_pbh(values)));
}

/// 2^x for x up to 126, within 3e-7 of it; 0 for minus infinity, NaN for NaN. On the part of x behind the
/// point a polynomial whose largest relative error is as small as that of any of its degree.
SAFETYLOCK_BFLOAT16_INLINE __m512 power_of_two(__m512 x) {
  constexpr int kBehindThePoint = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
  const __m512 f = _mm512_reduce_ps(x, kBehindThePoint);
  __m512 p = 0.00187757663F * f + 0.00898934052F;
  p = (p * f + 0.0558263174F) * f + 0.240153617F;
  p = (p * f + 0.693153073F) * f + 0.999999925F;
  return _mm512_scalef_ps(p, x);  // of which it takes the floor
}

/// As power_of_two for x <= 0, within 8e-5, a twentieth of what rounding to bfloat16 takes away: for weights
/// that are rounded at once.
SAFETYLOCK_BFLOAT16_INLINE __m512 weight_power(__m512 x) {
  constexpr int kBehindThePoint = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
  const __m512 f = _mm512_reduce_ps(x, kBehindThePoint);
  const __m512 p = ((0.0780245171F * f + 0.226067155F) * f + 0.695833541F) * f + 0.999925222F;
  return _mm512_scalef_ps(p, x);
}

}  // namespace safetylock
#endif
