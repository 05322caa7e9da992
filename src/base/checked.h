// Arithmetic on sizes that come from files: overflow is an Error, never a wrap.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>

namespace safetylock::checked {

inline std::optional<std::uint64_t> mul(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t r = 0;
  if (__builtin_mul_overflow(a, b, &r)) return std::nullopt;
  return r;
}

inline std::optional<std::uint64_t> add(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t r = 0;
  if (__builtin_add_overflow(a, b, &r)) return std::nullopt;
  return r;
}

/// Product of all extents; 1 for rank 0. Nothing on overflow, also when a later extent is zero.
inline std::optional<std::uint64_t> product(std::span<const std::uint64_t> extents) noexcept {
  std::uint64_t r = 1;
  bool zero = false;
  for (const std::uint64_t e : extents) {
    if (e == 0) {
      zero = true;
      continue;
    }
    const auto next = mul(r, e);
    if (!next) return std::nullopt;
    r = *next;
  }
  return zero ? 0 : r;
}

}  // namespace safetylock::checked
