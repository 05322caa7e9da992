#include "engine/request_strength.h"

#include <sstream>

#include "safetylock/error.h"

namespace safetylock {

Strength request_strength(const std::optional<Strength>& asked, const Interventions* lock) {
  if (!asked) return lock == nullptr ? Strength() : lock->strengths.front();
  if (lock == nullptr && !asked->is_zero()) {
    throw Error({.code = "lock.state",
                 .where = "strength",
                 .expected = "a lock applied to the model",
                 .found = "none",
                 .hint = "Call apply_lock first"});
  }
  if (lock != nullptr && asked->alpha() > lock->alpha_max) {
    std::ostringstream largest, found;
    largest << lock->alpha_max;
    found << asked->alpha();
    throw Error({.code = "arg.alpha",
                 .where = "strength",
                 .expected = "at most the lock's alpha_max " + largest.str(),
                 .found = found.str()});
  }
  return *asked;
}

}  // namespace safetylock
