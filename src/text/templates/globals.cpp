// Functions that templates can call by name.
#include <time.h>

#include <array>
#include <cstdio>

#include "text/templates/interpreter.h"

namespace safetylock::jinja {

Value make_range(Execution& run, const Arguments& arguments) {
  const auto bound = bind_arguments(run, "range", arguments, {"/start", "/stop", "/step"}, 1);
  constexpr std::int64_t kLargest = std::int64_t{1} << 60U;  // no overflow in the sizes below
  const auto integer = [&](const std::optional<Value>& value, std::int64_t otherwise) {
    if (!value) return otherwise;
    const auto number = as_integer(*value);
    if (!number) run.fail_type("integers for range()", describe(*value));
    if (*number > kLargest || *number < -kLargest)
      run.fail_unsupported("an integer of more than 60 bits in range()");
    return *number;
  };
  Range range{bound[1] ? integer(bound[0], 0) : 0, bound[1] ? integer(bound[1], 0) : integer(bound[0], 0),
              integer(bound[2], 1)};
  if (range.step == 0) run.fail_type("a step other than zero for range()", "zero");
  if (static_cast<std::uint64_t>(range.size()) > kMaxRange) {
    run.fail_type("a range of at most " + std::to_string(kMaxRange), std::to_string(range.size()));
  }
  return range;
}

Map make_map(Execution& run, const std::string& callee, const Arguments& arguments) {
  if (arguments.positional.size() > 1)
    run.fail_type("at most one argument of " + callee + " without a name", "more");
  Map map;
  if (!arguments.positional.empty()) {
    const Map* source = as_map(arguments.positional[0]);
    if (source == nullptr) run.fail_unsupported(callee + "() of a " + type_name(arguments.positional[0]));
    for (const auto& [key, value] : source->entries()) map.set(run, key, value);
  }
  for (const auto& [key, value] : arguments.keywords) map.set(run, key, value);
  return map;
}

namespace {

std::string digits(int value, int width) {
  std::array<char, 24> buffer{};
  const int n = std::snprintf(buffer.data(), buffer.size(), "%0*d", width, value);
  return std::string(buffer.data(), static_cast<size_t>(n));
}

// As strftime in the C locale; nothing for a directive left out.
std::optional<std::string> directive(char c, bool padded, const tm& t) {
  static constexpr const char* kMonths[] = {"January",   "February", "March",    "April",
                                            "May",       "June",     "July",     "August",
                                            "September", "October",  "November", "December"};
  static constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                          "Thursday", "Friday", "Saturday"};
  const auto two = [&](int value) { return digits(value, padded ? 2 : 1); };
  const int hour12 = t.tm_hour % 12 == 0 ? 12 : t.tm_hour % 12;
  switch (c) {
    case 'Y':
      return std::to_string(t.tm_year + 1900);
    case 'm':
      return two(t.tm_mon + 1);
    case 'd':
      return two(t.tm_mday);
    case 'H':
      return two(t.tm_hour);
    case 'I':
      return two(hour12);
    case 'M':
      return two(t.tm_min);
    case 'S':
      return two(t.tm_sec);
    case 'y':
      return two(t.tm_year % 100);
    case 'j':
      return digits(t.tm_yday + 1, padded ? 3 : 1);
    default:
      break;
  }
  if (!padded) return std::nullopt;
  switch (c) {
    case 'B':
      return kMonths[t.tm_mon];
    case 'b':
      return std::string(kMonths[t.tm_mon]).substr(0, 3);
    case 'A':
      return kDays[t.tm_wday];
    case 'a':
      return std::string(kDays[t.tm_wday]).substr(0, 3);
    case 'p':
      return t.tm_hour < 12 ? "AM" : "PM";
    case 'F':
      return std::to_string(t.tm_year + 1900) + "-" + digits(t.tm_mon + 1, 2) + "-" + digits(t.tm_mday, 2);
    case 'T':
      return digits(t.tm_hour, 2) + ":" + digits(t.tm_min, 2) + ":" + digits(t.tm_sec, 2);
    case '%':
      return "%";
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string format_time(Execution& run, const std::string& format,
                        std::chrono::system_clock::time_point time) {
  const time_t seconds = std::chrono::system_clock::to_time_t(time);
  tm local{};
  if (localtime_r(&seconds, &local) == nullptr) run.fail_type("a time that the calendar has", "another");
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const bool padded = i + 1 >= format.size() || format[i + 1] != '-';
    i += padded ? 1 : 2;
    const auto value = i < format.size() ? directive(format[i], padded, local) : std::nullopt;
    if (!value) run.fail_unsupported("a time format other than the usual ones");
    out += *value;
  }
  return out;
}

}  // namespace safetylock::jinja
