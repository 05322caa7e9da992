// Text that becomes HTML. Everything that comes from a file passes through `escaped`.
#pragma once

#include <string>
#include <string_view>

namespace safetylock::report {

/// Safe in element content and in attributes in double quotes. Control characters (newline and tab stay),
/// bidi and other invisible marks are shown as \u{...}; bytes that are no UTF-8 become U+FFFD.
std::string escaped(std::string_view text);

/// The first `max_bytes` of `text`, whole characters only; what is cut is said at the end, with the full
/// size.
std::string cut(std::string_view text, size_t max_bytes);

/// A name: cut to what a line can bear, newlines as spaces, escaped.
std::string name_text(std::string_view text);

/// <name attributes>content</name>; `content` is markup.
std::string tag(std::string_view name, std::string_view attributes, std::string_view content);

}  // namespace safetylock::report
