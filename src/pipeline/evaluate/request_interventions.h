// What the passes of an evaluation add; nothing on a model without a lock.
#pragma once

#include <optional>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/strength.h"

namespace safetylock {

/// `asked`: one for each sequence of a pass, or a single one for all. Throws lock.state when a strength above
/// zero is asked for and no lock is applied, arg.alpha beyond the lock's largest.
std::optional<Interventions> request_interventions(const CausalLM& model,
                                                   const std::vector<std::optional<Strength>>& asked);

}  // namespace safetylock
