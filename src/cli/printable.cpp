#include "cli/printable.h"

#include "base/utf8.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

/// escape_untrusted also escapes quotes and backslashes, which are harmless on a terminal.
bool stays_as_is(char c) {
  return c == '"' || c == '\\';
}

std::string clean(std::string_view text, bool keep_lines) {
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8::decode(text).length;
    const std::string_view piece = text.substr(0, length);
    if (piece == "\n" || piece == "\t") {
      out += keep_lines ? piece : " ";
    } else if (stays_as_is(piece.front())) {
      out += piece;
    } else {
      out += escape_untrusted(piece);
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  return clean(text, true);
}

std::string one_line(std::string_view text) {
  return clean(text, false);
}

std::string quoted_piece(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t length = utf8::decode(text).length;
    const std::string_view piece = text.substr(0, length);
    if (piece == "\n") {
      out += "\\n";
    } else if (piece == "\t") {
      out += "\\t";
    } else if (stays_as_is(piece.front())) {
      out += '\\' + std::string(piece);
    } else {
      out += escape_untrusted(piece);
    }
    text.remove_prefix(length);
  }
  return out + "\"";
}

}  // namespace safetylock::cli
