#include "bake/short_number.h"

#include <array>
#include <cstdio>

namespace safetylock {

std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

}  // namespace safetylock
