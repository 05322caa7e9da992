#include "lock/strength_limit.h"

#include <locale>
#include <sstream>

#include "safetylock/error.h"

namespace safetylock {

Strength within_limit(Strength strength, double alpha_max) {
  if (strength.alpha() <= alpha_max) return strength;
  std::ostringstream largest, found;
  largest.imbue(std::locale::classic());
  found.imbue(std::locale::classic());
  largest << alpha_max;
  found << strength.alpha();
  throw Error({"arg.alpha", "", "alpha", "at most the lock's alpha_max " + largest.str(), found.str(), ""});
}

}  // namespace safetylock
