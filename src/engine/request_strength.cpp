#include "engine/request_strength.h"

#include "lock/strength_limit.h"
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
  return lock == nullptr ? *asked : within_limit(*asked, lock->alpha_max);
}

}  // namespace safetylock
