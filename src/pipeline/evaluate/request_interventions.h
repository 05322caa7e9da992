// What the passes of an evaluation add; nothing on a model without a lock.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/evaluate.h"
#include "safetylock/strength.h"

namespace safetylock {

/// `asked` of all sequences of a pass. A gate plays no part. Throws lock.state when a strength above zero is
/// asked for and no lock is applied, arg.alpha beyond the lock's largest.
std::optional<Interventions> request_interventions(const CausalLM& model,
                                                   const std::optional<Strength>& asked);

/// The same for sequences that go on from `prompts`, one each: where the lock has a gate, and the options do
/// not pass it over, a sequence has what it gives to its prompt.
std::optional<Interventions> prompt_interventions(const CausalLM& model,
                                                  const std::vector<std::string>& prompts,
                                                  const EvaluateOptions& options);

}  // namespace safetylock
