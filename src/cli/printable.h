// Text of files and models made safe to print on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace safetylock::cli {

/// Control characters (but not newline and tab), bidi marks and invalid UTF-8 as escapes: what a model writes
/// must not steer the terminal.
std::string printable(std::string_view text);
/// As printable, and newlines and tabs as spaces: for one-line places.
std::string one_line(std::string_view text);
/// In quotes, on one line, with nothing hidden: newline as \n, tab as \t, quote and backslash escaped.
std::string quoted_piece(std::string_view text);

}  // namespace safetylock::cli
