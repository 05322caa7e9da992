// Numbers as a model's files store them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace safetylock {

/// Whether values of this type can be written: "F64", "F32", "F16" or "BF16".
bool can_store(std::string_view dtype) noexcept;

/// `values` as little-endian `dtype`, each rounded once, to nearest and ties to even. Throws num.nonfinite
/// naming `what` where a value is not finite, or not once it is rounded.
std::string stored_bytes(std::string_view dtype, std::span<const double> values, const std::string& what);

}  // namespace safetylock
