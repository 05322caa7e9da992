#include "safetylock/strength.h"

#include <sstream>

#include "safetylock/error.h"

namespace safetylock {

Strength::Strength(double alpha) : alpha_(alpha) {
  if (alpha >= 0 && alpha <= kMax) {
    alpha_ = alpha == 0 ? 0.0 : alpha;  // -0 is 0
    return;
  }
  std::ostringstream found;
  found.imbue(std::locale::classic());
  found << alpha;
  throw Error({"arg.alpha", "", "Strength", "a number from 0 (unlocked) to 1000", found.str(),
               alpha < 0 ? "A negative strength would remove safety" : ""});
}

}  // namespace safetylock
