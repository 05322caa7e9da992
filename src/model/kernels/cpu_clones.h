// What the CPU kernels share: one source compiled for several instruction sets, of which the loader picks,
// and conversions that compilers turn into vector instructions.
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

/// f.operator()<T>() for the type of `dtype`: float32, bfloat16 or float16.
template <typename F>
void with_type(at::ScalarType dtype, const F& f) {
  if (dtype == at::kFloat) return f.template operator()<float>();
  if (dtype == at::kBFloat16) return f.template operator()<at::BFloat16>();
  f.template operator()<at::Half>();
}

/// e^x for x <= 0 without a branch, so that compilers vectorise it: 2^n * e^f with |f| <= ln(2)/2 and the
/// polynomial of Cephes' expf. Relative error below 2e-7; 0 to within that below -87.
SAFETYLOCK_INLINE float exp_of_nonpositive(float x) {
  x = x < -87.0F ? -87.0F : x;
  constexpr float kRoundToInteger = 12582912.0F;  // 1.5 * 2^23
  const float n = (x * 1.44269504F + kRoundToInteger) - kRoundToInteger;
  const float f = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * f + 1.3981999507e-3F;
  p = p * f + 8.3334519073e-3F;
  p = p * f + 4.1665795894e-2F;
  p = p * f + 1.6666665459e-1F;
  p = p * f + 5.0000001201e-1F;
  p = p * f * f + f + 1.0F;
  return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

}  // namespace safetylock
