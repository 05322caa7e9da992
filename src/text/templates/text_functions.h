// String functions that exist both as filters and as methods.
#pragma once

#include <string>

#include "text/templates/builtins.h"

namespace safetylock::jinja {

/// Case mapping of the whole; template.unsupported where it depends on context.
MarkedText cased(Execution& run, const MarkedText& text, Case wanted);
/// str.capitalize().
MarkedText capitalized(Execution& run, const MarkedText& text);
/// str.replace(old, replacement, limit) within the limits.
MarkedText replaced_text(Execution& run, const MarkedText& text, const std::string& old,
                         const MarkedText& replacement, std::int64_t limit);
/// The argument of strip(): nothing for None or absent.
std::optional<std::string> strip_characters(Execution& run, const std::optional<Value>& argument);
MarkedText stripped_text(Execution& run, const MarkedText& text, bool left, bool right,
                         const std::optional<Value>& characters);
/// Joins `items`, which are all text.
MarkedText joined(Execution& run, const std::vector<MarkedText>& items, const MarkedText& separator);

}  // namespace safetylock::jinja
