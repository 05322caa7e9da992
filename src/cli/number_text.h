// Numbers as users write them, whatever the locale.
#pragma once

#include <cstdint>
#include <string>

namespace safetylock::cli {

/// A whole number in [lo, hi]. Throws Error `code` naming the option.
std::int64_t parse_integer(const std::string& option, const std::string& text, std::int64_t lo,
                           std::int64_t hi, const std::string& code = "arg.range");

/// A number in [lo, hi]. Throws Error arg.range naming the option.
double parse_number(const std::string& option, const std::string& text, double lo, double hi);

/// A strength. Throws Error arg.alpha for anything that Strength refuses, and for text that is no number.
double parse_alpha(const std::string& text, const std::string& option = "--alpha");

}  // namespace safetylock::cli
