// String literals of templates: Python's escapes.
#pragma once

#include <string>
#include <string_view>

namespace safetylock::jinja {

/// The text that the literal `body` (without quotes) stands for. Throws template.syntax /
/// template.unsupported.
std::string unescape(std::string_view body, const std::string& file, int line);

}  // namespace safetylock::jinja
