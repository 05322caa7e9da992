// What a lock allows of a strength.
#pragma once

#include "safetylock/strength.h"

namespace safetylock {

/// `strength`. Throws Error arg.alpha above `alpha_max`, a lock's.
Strength within_limit(Strength strength, double alpha_max);

}  // namespace safetylock
