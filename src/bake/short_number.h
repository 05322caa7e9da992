// Numbers as error texts, reasons and cards print them.
#pragma once

#include <string>

namespace safetylock {

/// Four digits at most: "0.9981", "3", "1.2e-05".
std::string short_number(double value);

}  // namespace safetylock
