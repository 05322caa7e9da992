#include "text/templates/strings.h"

#include <array>
#include <cstdio>
#include <optional>

#include "base/utf8.h"
#include "text/templates/lexer.h"

namespace safetylock::jinja {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<char> simple_escape(char c) {
  switch (c) {
    case '\\':
    case '\'':
    case '"':
      return c;
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    default:
      return std::nullopt;
  }
}

// Jinja first spells characters beyond ASCII as escapes, which shows where a backslash stands before one.
std::string escape_spelling(char32_t point) {
  std::array<char, 16> buffer{};
  const char* format = point < 0x100 ? "\\x%02x" : point < 0x10000 ? "\\u%04x" : "\\U%08x";
  const int n = std::snprintf(buffer.data(), buffer.size(), format, static_cast<unsigned>(point));
  return std::string(buffer.data(), static_cast<size_t>(n));
}

}  // namespace

std::string unescape(std::string_view body, const std::string& file, int line) {
  std::string out;
  size_t at = 0;
  const auto hex_escape = [&](size_t digits) {
    char32_t point = 0;
    for (size_t i = 0; i < digits; ++i) {
      const int digit = at + i < body.size() ? hex_value(body[at + i]) : -1;
      if (digit < 0)
        fail_syntax(file, line, std::to_string(digits) + " hexadecimal digits in an escape", "fewer");
      point = point * 16 + static_cast<char32_t>(digit);
    }
    if (point > 0x10FFFF) fail_syntax(file, line, "a Unicode character", "a number above 10FFFF");
    if (point >= 0xD800 && point < 0xE000) fail_unsupported(file, line, "surrogate escapes in a string");
    at += digits;
    utf8::append(out, point);
  };
  while (at < body.size()) {
    if (body[at] != '\\') {
      out += body[at++];
      continue;
    }
    ++at;
    const auto next = utf8::decode(body.substr(at));
    const char c = body[at];
    if (next.length > 1) {
      out += escape_spelling(next.code_point);
      at += next.length;
    } else if (const auto simple = simple_escape(c)) {
      out += *simple;
      ++at;
    } else if (c == '\n') {
      ++at;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      ++at;
      hex_escape(c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c >= '0' && c <= '7') {
      char32_t point = 0;
      for (int i = 0; i < 3 && at < body.size() && body[at] >= '0' && body[at] <= '7'; ++i, ++at) {
        point = point * 8 + static_cast<char32_t>(body[at] - '0');
      }
      utf8::append(out, point);
    } else if (c == 'N') {
      fail_unsupported(file, line, "characters by name in a string");
    } else {
      out += '\\';
    }
  }
  return out;
}

}  // namespace safetylock::jinja
