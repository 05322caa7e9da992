#include "bake/stored_values.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "safetylock/error.h"

namespace safetylock {
namespace {

// float32 with the rounding left open: inexact values get an odd last bit, so that rounding once more to a
// shorter type gives what rounding the double would have given.
std::uint32_t open_float_bits(double value) {
  const auto nearest = static_cast<float>(value);
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (static_cast<double>(nearest) == value) return bits;
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value)) --bits;  // towards zero
  return bits | 1U;
}

// Drops the last `count` bits, to nearest and ties to even.
std::uint32_t round_off(std::uint32_t value, unsigned count) {
  const std::uint32_t kept = value >> count;
  const std::uint32_t rest = value & ((1U << count) - 1);
  const std::uint32_t half = 1U << (count - 1);
  return kept + (rest > half || (rest == half && (kept & 1U) != 0) ? 1 : 0);
}

std::uint16_t to_bfloat16(double value) {
  return static_cast<std::uint16_t>(round_off(open_float_bits(value), 16));
}

std::uint16_t to_float16(double value) {
  const std::uint32_t bits = open_float_bits(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const int exponent = static_cast<int>((bits >> 23) & 0xFFU) - 127;
  const std::uint32_t fraction = (bits & 0x7FFFFFU) | 0x800000U;
  if (exponent >= 16) return static_cast<std::uint16_t>(sign | 0x7C00U);
  std::uint32_t magnitude = 0;
  if (exponent >= -14) {  // a carry out of the fraction raises the exponent, as it should
    magnitude = (static_cast<std::uint32_t>(exponent + 14) << 10) + round_off(fraction, 13);
  } else if (exponent >= -25) {
    magnitude = round_off(fraction, static_cast<unsigned>(-1 - exponent));
  }
  return static_cast<std::uint16_t>(sign | magnitude);
}

bool is_finite16(std::uint16_t bits, std::uint16_t exponent_mask) {
  return (bits & exponent_mask) != exponent_mask;
}

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

/// Whether the value is finite as `dtype`.
bool append_value(std::string& out, std::string_view dtype, double value) {
  if (dtype == "BF16") {
    append(out, to_bfloat16(value));
    return std::isfinite(value) && is_finite16(to_bfloat16(value), 0x7F80);
  }
  if (dtype == "F16") {
    append(out, to_float16(value));
    return std::isfinite(value) && is_finite16(to_float16(value), 0x7C00);
  }
  if (dtype == "F32") {
    append(out, static_cast<float>(value));
    return std::isfinite(static_cast<float>(value));
  }
  append(out, value);
  return std::isfinite(value);
}

}  // namespace

bool can_store(std::string_view dtype) noexcept {
  return dtype == "F64" || dtype == "F32" || dtype == "F16" || dtype == "BF16";
}

std::string stored_bytes(std::string_view dtype, std::span<const double> values, const std::string& what) {
  std::string out;
  for (size_t i = 0; i < values.size(); ++i) {
    if (append_value(out, dtype, values[i])) continue;
    throw Error({"num.nonfinite", "", what + ", value " + std::to_string(i),
                 "a number that " + std::string(dtype) + " holds", std::to_string(values[i]),
                 "Bake with less strength"});
  }
  return out;
}

}  // namespace safetylock
