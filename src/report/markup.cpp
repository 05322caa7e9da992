#include "report/markup.h"

#include <array>
#include <cstdint>
#include <cstdio>

#include "base/utf8.h"
#include "report/number_text.h"

namespace safetylock::report {
namespace {

constexpr size_t kLongestName = 200;

struct Range {
  char32_t first, last;
};

// What shows nothing of its own, or reorders what is around it: a reader must see what a text really holds.
constexpr std::array kHidden = {
    Range{0x00, 0x08},     Range{0x0B, 0x1F},       Range{0x7F, 0x9F},       Range{0xAD, 0xAD},
    Range{0x34F, 0x34F},   Range{0x61C, 0x61C},     Range{0x115F, 0x1160},   Range{0x17B4, 0x17B5},
    Range{0x180B, 0x180F}, Range{0x200B, 0x200F},   Range{0x2028, 0x202E},   Range{0x2060, 0x206F},
    Range{0x3164, 0x3164}, Range{0xFEFF, 0xFEFF},   Range{0xFFA0, 0xFFA0},   Range{0xFFF0, 0xFFFB},
    Range{0xFFFE, 0xFFFF}, Range{0x1BCA0, 0x1BCA3}, Range{0x1D173, 0x1D17A}, Range{0xE0000, 0xE0FFF},
};

bool is_hidden(char32_t c) {
  for (const Range& range : kHidden)
    if (c >= range.first && c <= range.last) return true;
  return (c & 0xFFFE) == 0xFFFE;  // the noncharacters at the end of each plane
}

void append_escaped(std::string& out, char32_t c) {
  switch (c) {
    case U'&':
      out += "&amp;";
      return;
    case U'<':
      out += "&lt;";
      return;
    case U'>':
      out += "&gt;";
      return;
    case U'"':
      out += "&quot;";
      return;
    case U'\'':
      out += "&#39;";
      return;
    default:
      break;
  }
  if (!is_hidden(c)) {
    utf8::append(out, c);
    return;
  }
  std::array<char, 16> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "\\u{%X}", static_cast<unsigned>(c));
  out += buffer.data();
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  while (!text.empty()) {
    const utf8::Decoded d = utf8::decode(text);
    append_escaped(out, d.code_point);
    text.remove_prefix(d.length);
  }
  return out;
}

std::string cut(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  std::string_view first = text.substr(0, max_bytes);
  first.remove_suffix(utf8::unfinished_suffix(first));
  return std::string(first) + " … (cut: " + grouped(static_cast<std::int64_t>(text.size())) +
         " bytes in all)";
}

std::string name_text(std::string_view text) {
  std::string line = cut(text, kLongestName);
  for (char& c : line)
    if (c == '\n' || c == '\t') c = ' ';
  return escaped(line);
}

std::string tag(std::string_view name, std::string_view attributes, std::string_view content) {
  std::string out = "<" + std::string(name);
  if (!attributes.empty()) out += " " + std::string(attributes);
  out += ">";
  out += content;
  return out + "</" + std::string(name) + ">";
}

}  // namespace safetylock::report
