#include "cli/date_option.h"

#include <ctime>

#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

/// Noon of the day "2026-03-07", in the system's time zone.
std::chrono::system_clock::time_point parse_date(const std::string& text) {
  std::tm day{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%d", &day);
  const std::chrono::year_month_day date(std::chrono::year(day.tm_year + 1900),
                                         std::chrono::month(static_cast<unsigned>(day.tm_mon + 1)),
                                         std::chrono::day(static_cast<unsigned>(day.tm_mday)));
  if (text.size() != 10 || end == nullptr || *end != '\0' || !date.ok()) {
    throw Error({.code = "arg.date",
                 .where = "--date",
                 .expected = "a day as YYYY-MM-DD",
                 .found = "\"" + escape_untrusted(text, 40) + "\""});
  }
  day.tm_hour = 12;
  day.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&day));
}

}  // namespace

void add_date_option(CLI::App& command, ChatClock& clock) {
  command
      .add_option_function<std::string>(
          "--date", [&clock](const std::string& text) { clock = [day = parse_date(text)] { return day; }; },
          "The day that the template takes for today, if it prints one (default: today)")
      ->type_name("YYYY-MM-DD");
}

}  // namespace safetylock::cli
