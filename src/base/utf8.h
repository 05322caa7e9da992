// Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace safetylock::utf8 {

struct Decoded {
  char32_t code_point;  ///< U+FFFD when not valid
  size_t length;        ///< bytes consumed: 1..4 when valid, 1 when not
  bool valid;
};

/// Decodes the first code point of `bytes`, which must not be empty.
Decoded decode(std::string_view bytes) noexcept;

/// Byte offset of the first invalid sequence, or nothing when all of `bytes` is valid.
std::optional<size_t> find_invalid(std::string_view bytes) noexcept;

/// Bytes at the end of `bytes` that begin a valid sequence without finishing it: 0..3.
size_t unfinished_suffix(std::string_view bytes) noexcept;

/// Appends `code_point` (a Unicode scalar value) to `out`.
void append(std::string& out, char32_t code_point);

/// Lossy: every maximal invalid run becomes U+FFFD as Python's `errors="replace"` and Rust's
/// `from_utf8_lossy` do.
std::string to_valid(std::string_view bytes);

}  // namespace safetylock::utf8
