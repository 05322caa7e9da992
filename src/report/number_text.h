// Numbers as the page writes them, whatever the locale.
#pragma once

#include <cstdint>
#include <string>

#include "report/results.h"

namespace safetylock::report {

std::string fixed(double value, int decimals);      ///< "-0.50"; never "-0.00"
std::string with_sign(double value, int decimals);  ///< "+0.5"
std::string shortest(double value);                 ///< the fewest digits that read back as `value`
std::string position(double pixels);                ///< for SVG: one decimal at most
std::string grouped(std::int64_t value);            ///< "12,345"
std::string counted(std::int64_t n, const std::string& noun);  ///< "1 prompt", "2 prompts"
std::string duration(double seconds);                          ///< "1.3 ms", "12.4 s", "3 min 20 s"

/// "14 %". Never 0 % or 100 % unless it is none or all of them.
std::string percent(const Rate& rate);
std::string percent(double share);
/// "14 % [9, 22]"
std::string with_interval(const Rate& rate);
/// "+1.3 [+1.0, +1.5]"
std::string with_interval(const Mean& mean, int decimals, bool sign);
/// "14/100"
std::string counts(const Rate& rate);

}  // namespace safetylock::report
