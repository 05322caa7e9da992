#include "safetylock/error.h"

#include <array>
#include <cstdio>

#include "base/utf8.h"

namespace safetylock {
namespace {

std::string one_line(const ErrorFields& f) {
  std::string text = "[" + f.code + "]";
  if (!f.file.empty()) text += " " + f.file + ":";
  if (!f.where.empty()) text += " " + f.where + ":";
  if (!f.expected.empty()) text += " expected " + f.expected;
  if (!f.found.empty()) text += (f.expected.empty() ? " found " : ", found ") + f.found;
  if (!f.hint.empty()) text += ". " + f.hint;
  return text;
}

bool has_prefix(std::string_view code, std::string_view prefix) {
  return code.substr(0, prefix.size()) == prefix;
}

bool must_escape(char32_t c) {
  if (c < 0x20 || c == 0x7F || (c >= 0x80 && c < 0xA0)) return true;
  if (c == U'"' || c == U'\\') return true;
  // Bidirectional and zero-width marks can make a terminal show other text than the bytes say.
  return (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x2069) ||
         c == 0xFEFF;
}

}  // namespace

Error::Error(ErrorFields fields) : std::runtime_error(one_line(fields)), fields_(std::move(fields)) {}

int exit_code(const Error& error) noexcept {
  const std::string& code = error.code();
  if (code == "run.interrupted") return 130;
  if (code == "io.write" || has_prefix(code, "resource.") || code == "limit.memory" ||
      has_prefix(code, "run."))
    return 1;
  if (has_prefix(code, "arg.")) return 2;
  if (has_prefix(code, "bind.") || code == "lock.signature" || code == "lock.rollback") return 4;
  if (has_prefix(code, "check.")) return 5;
  return 3;
}

std::string escape_untrusted(std::string_view text, size_t max_bytes) {
  std::string out;
  size_t i = 0;
  while (i < text.size()) {
    std::string piece;
    const utf8::Decoded d = utf8::decode(text.substr(i));
    if (!d.valid) {
      std::array<char, 8> buf{};
      std::snprintf(buf.data(), buf.size(), "\\x%02X", static_cast<unsigned char>(text[i]));
      piece = buf.data();
    } else if (must_escape(d.code_point)) {
      std::array<char, 16> buf{};
      if (d.code_point < 0x80) {
        std::snprintf(buf.data(), buf.size(), "\\x%02X", static_cast<unsigned>(d.code_point));
      } else {
        std::snprintf(buf.data(), buf.size(), "\\u{%X}", static_cast<unsigned>(d.code_point));
      }
      piece = buf.data();
    } else {
      piece = text.substr(i, d.length);
    }
    if (out.size() + piece.size() > max_bytes) return out + "...";
    out += piece;
    i += d.length;
  }
  return out;
}

}  // namespace safetylock
