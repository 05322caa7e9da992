#include "text/control_marker.h"

#include <algorithm>
#include <array>

#include "text/normalizer.h"

namespace safetylock {
namespace {

// Elements that texts on the web are full of. Not "s": <s> begins sequences in most vocabularies.
constexpr std::array<std::string_view, 46> kHtmlElements{
    "a",     "b",     "big",    "blockquote", "br",   "caption", "center", "code",  "dd", "del",
    "div",   "dl",    "dt",     "em",         "font", "h1",      "h2",     "h3",    "h4", "h5",
    "h6",    "hr",    "i",      "img",        "ins",  "kbd",     "li",     "ol",    "p",  "pre",
    "small", "span",  "strike", "strong",     "sub",  "sup",     "table",  "tbody", "td", "tfoot",
    "th",    "thead", "tr",     "tt",         "u",    "ul"};

bool is_html_tag(std::string_view content) {
  if (!content.starts_with('<') || !content.ends_with('>')) return false;
  content = content.substr(1, content.size() - 2);
  if (content.starts_with('/')) content.remove_prefix(1);
  return std::find(kHtmlElements.begin(), kHtmlElements.end(), content) != kHtmlElements.end();
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

bool is_control_marker(std::string_view content) {
  constexpr std::string_view kFullWidthBar = "\xEF\xBD\x9C";  // U+FF5C, in DeepSeek's markers
  const bool bracketed = content.find_first_of("<>[]{}|") != std::string_view::npos ||
                         content.find(kFullWidthBar) != std::string_view::npos;
  if (!bracketed || is_html_tag(content)) return false;
  for (size_t i = 0; i < content.size();) {
    const std::string_view rest = content.substr(i);
    if (rest.starts_with(kMetaspace) || rest.starts_with(kFullWidthBar)) {
      i += 3;
    } else if (is_letter_or_digit(rest.front()) || static_cast<unsigned char>(rest.front()) >= 0x80) {
      return true;
    } else {
      ++i;
    }
  }
  return false;
}

}  // namespace safetylock
