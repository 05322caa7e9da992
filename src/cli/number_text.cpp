#include "cli/number_text.h"

#include <charconv>

#include "cli/text_format.h"
#include "safetylock/error.h"
#include "safetylock/strength.h"

namespace safetylock::cli {
namespace {

template <typename Number>
bool parse_whole(const std::string& text, Number& value) {
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stopped == end;
}

std::string quoted(const std::string& text) {
  return "\"" + escape_untrusted(text) + "\"";
}

}  // namespace

std::int64_t parse_integer(const std::string& option, const std::string& text, std::int64_t lo,
                           std::int64_t hi, const std::string& code) {
  std::int64_t value = 0;
  if (parse_whole(text, value) && value >= lo && value <= hi) return value;
  throw Error({.code = code,
               .where = option,
               .expected = "a whole number from " + std::to_string(lo) + " to " + std::to_string(hi),
               .found = quoted(text)});
}

double parse_number(const std::string& option, const std::string& text, double lo, double hi) {
  double value = 0;
  if (parse_whole(text, value) && value >= lo && value <= hi) return value;  // false for NaN
  throw Error({.code = "arg.range",
               .where = option,
               .expected = text_format("a number from %g to %g", lo, hi),
               .found = quoted(text)});
}

double parse_alpha(const std::string& text, const std::string& option) {
  double value = 0;
  if (!parse_whole(text, value))
    throw Error({.code = "arg.alpha", .where = option, .expected = "a number", .found = quoted(text)});
  return Strength(value).alpha();
}

}  // namespace safetylock::cli
