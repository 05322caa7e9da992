// What the passes of an evaluation add; nothing on a model without a lock.
#pragma once

#include <optional>

#include "safetylock/causal_lm.h"
#include "safetylock/strength.h"

namespace safetylock {

/// Throws lock.state when a strength above zero is asked for and no lock is applied.
std::optional<Interventions> request_interventions(const CausalLM& model,
                                                   const std::optional<Strength>& strength);

}  // namespace safetylock
