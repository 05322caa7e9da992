// Character classes as Rust's standard library and regex crate define them, which Hugging Face's tokenizers
// uses.
#pragma once

#include <string_view>

namespace safetylock::unicode {

/// Property White_Space: U+0009-000D, 0020, 0085, 00A0, 1680, 2000-200A, 2028, 2029, 202F, 205F, 3000.
bool is_white_space(char32_t c) noexcept;

/// Length in bytes of the run of White_Space at the start of valid UTF-8 `text`.
size_t leading_white_space(std::string_view text) noexcept;
/// The same at its end.
size_t trailing_white_space(std::string_view text) noexcept;

/// Whether valid UTF-8 `text` starts with a word character: Alphabetic, Mark, decimal digit, connector
/// punctuation or Join_Control (regex crate's \w).
bool starts_with_word(std::string_view text);
bool ends_with_word(std::string_view text);

/// First byte of the character that byte `i` of valid UTF-8 `text` belongs to.
size_t character_begin(std::string_view text, size_t i) noexcept;
/// One past its last byte.
size_t character_end(std::string_view text, size_t i) noexcept;

}  // namespace safetylock::unicode
