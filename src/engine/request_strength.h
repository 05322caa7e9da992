// The strength at which one request runs.
#pragma once

#include <optional>

#include "safetylock/interventions.h"

namespace safetylock {

/// `asked`, or without one what the applied lock says; unlocked when neither is there. `lock` may be null.
/// Throws lock.state when a strength above zero is asked for and no lock is applied.
Strength request_strength(const std::optional<Strength>& asked, const Interventions* lock);

}  // namespace safetylock
