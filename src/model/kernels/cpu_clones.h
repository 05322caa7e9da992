// What the CPU kernels share: one source compiled for several instruction sets, of which the loader picks,
// conversions that compilers turn into vector instructions, and whole units.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "model/torch_includes.h"

// Sanitizers cannot run the picking code.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define SAFETYLOCK_FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SAFETYLOCK_FOR_EACH_CPU
#endif
// For kernels that round a product before they add it: float32 too, where one instruction could do both.
#define SAFETYLOCK_ROUND_PRODUCTS __attribute__((optimize("fp-contract=off")))
#define SAFETYLOCK_INLINE __attribute__((always_inline)) inline

namespace safetylock {

constexpr std::int64_t round_up(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

/// How much of n > 0 to take at once, in whole units: parts of at most `most`, as few and as equal as can be.
constexpr std::int64_t even_part(std::int64_t n, std::int64_t most, std::int64_t unit) {
  const std::int64_t parts = (n + most - 1) / most;
  return round_up((n + parts - 1) / parts, unit);
}

template <typename T>
SAFETYLOCK_INLINE float widened(T value) {
  if constexpr (std::is_same_v<T, at::BFloat16>) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value.x) << 16);
  } else {
    return static_cast<float>(value);
  }
}

/// To the nearest value of T, ties to even, without a branch for bfloat16. What is not a number stays so.
template <typename T>
SAFETYLOCK_INLINE T rounded(float value) {
  if constexpr (std::is_same_v<T, at::BFloat16>) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t nearest = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    return {static_cast<std::uint16_t>(value != value ? 0x7fc0U : nearest), at::BFloat16::from_bits()};
  } else {
    return static_cast<T>(value);
  }
}

/// Rounded to T, for arithmetic that goes on in float32.
template <typename T>
SAFETYLOCK_INLINE float as(float value) {
  return widened(rounded<T>(value));
}

template <typename T>
SAFETYLOCK_INLINE void widen(const T* from, std::int64_t n, float* to) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) to[i] = widened(from[i]);
}

/// f.operator()<T>() for the type of `dtype`: float32, bfloat16 or float16.
template <typename F>
void with_type(at::ScalarType dtype, const F& f) {
  if (dtype == at::kFloat) return f.template operator()<float>();
  if (dtype == at::kBFloat16) return f.template operator()<at::BFloat16>();
  f.template operator()<at::Half>();
}

/// Of Cephes' expf: e^f for |f| <= ln(2)/2 is this polynomial times f^2, plus f + 1.
constexpr float kExpPolynomial[] = {1.9875691500e-4F, 1.3981999507e-3F, 8.3334519073e-3F,
                                    4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F};
constexpr float kLog2E = 1.44269504F, kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F;
constexpr float kRoundToInteger = 12582912.0F;  ///< 1.5 * 2^23: what is added to it is rounded to an integer

/// e^x for |x| <= 87 without a branch, so that compilers vectorise it: 2^n * e^f with |f| <= ln(2)/2.
/// Relative error below 2e-7.
SAFETYLOCK_INLINE float exp_within_range(float x) {
  const float n = (x * kLog2E + kRoundToInteger) - kRoundToInteger;
  const float f = (x - n * kLn2High) - n * kLn2Low;
  constexpr const float* c = kExpPolynomial;
  const float p = ((((((c[0] * f + c[1]) * f + c[2]) * f + c[3]) * f + c[4]) * f + c[5]) * f) * f + f + 1.0F;
  return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

/// e^x for x <= 0; below -87 it is as good as 0.
SAFETYLOCK_INLINE float exp_of_nonpositive(float x) {
  return exp_within_range(x < -87.0F ? -87.0F : x);
}

}  // namespace safetylock
