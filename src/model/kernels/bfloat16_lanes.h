// Arithmetic on sixteen values at a time, good for bfloat16, on processors with AVX512-BF16.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cstdint>

// Everything that passes vectors is inlined; and GCC bug 105593: intrinsics leave undefined on purpose what
// they do not need.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wpsabi"
#define SAFETYLOCK_BFLOAT16_LANES \
  gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,prefer-vector-width=512")
#define SAFETYLOCK_BFLOAT16_INLINE [[SAFETYLOCK_BFLOAT16_LANES, gnu::always_inline]] inline

namespace safetylock {

/// The first n of 32 values: none where n is not positive, all where it is greater.
constexpr __mmask32 first_of_32(std::int64_t n) {
  return static_cast<__mmask32>((std::uint64_t{1} << std::clamp<std::int64_t>(n, 0, 32)) - 1);
}

/// 32 values that lie side by side, as two vectors: those at even places and those at odd ones. Taken apart
/// so they need no shuffle, and rounding two vectors costs what rounding one does.
struct Apart {
  __m512 even, odd;
};

SAFETYLOCK_BFLOAT16_INLINE Apart apart(__m512i values) {
  return {.even = _mm512_castsi512_ps(_mm512_slli_epi32(values, 16)),
          .odd = _mm512_castsi512_ps(_mm512_and_si512(values, _mm512_set1_epi32(-65536)))};
}

/// Rounded, those of `first` before those of `second`.
SAFETYLOCK_BFLOAT16_INLINE __m512i one_after_other(__m512 first, __m512 second) {
  return std::bit_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
}

/// Rounded, side by side: what `apart` takes apart.
SAFETYLOCK_BFLOAT16_INLINE __m512i side_by_side(__m512 even, __m512 odd) {
  alignas(64) static constexpr std::uint16_t kOrder[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                           21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                           11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), one_after_other(even, odd));
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
