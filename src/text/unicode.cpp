#include "text/unicode.h"

#include "base/utf8.h"
#include "text/regex.h"

namespace safetylock::unicode {
namespace {

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

std::string_view last_character(std::string_view text) {
  return text.substr(character_begin(text, text.size() - 1));
}

const Regex& word_character() {
  static const Regex regex("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]");
  return regex;
}

bool is_word(std::string_view character) {
  RegexMatcher matcher(word_character());
  return matcher.find(character, 0).has_value();
}

}  // namespace

bool is_white_space(char32_t c) noexcept {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

size_t leading_white_space(std::string_view text) noexcept {
  size_t i = 0;
  while (i < text.size()) {
    const utf8::Decoded d = utf8::decode(text.substr(i));
    if (!is_white_space(d.code_point)) break;
    i += d.length;
  }
  return i;
}

size_t trailing_white_space(std::string_view text) noexcept {
  size_t left = text.size();
  while (left > 0) {
    const size_t begin = character_begin(text, left - 1);
    if (!is_white_space(utf8::decode(text.substr(begin)).code_point)) break;
    left = begin;
  }
  return text.size() - left;
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(text.substr(0, character_end(text, 0)));
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word(last_character(text));
}

size_t character_begin(std::string_view text, size_t i) noexcept {
  while (i > 0 && is_continuation(text[i])) --i;
  return i;
}

size_t character_end(std::string_view text, size_t i) noexcept {
  do {
    ++i;
  } while (i < text.size() && is_continuation(text[i]));
  return i;
}

}  // namespace safetylock::unicode
