// Which model and which pairs a lock comes from.
#pragma once

#include "safetylock/head_activations.h"

namespace safetylock {

/// `protocol` and `seed` are left for later steps.
LockIdentity provenance_of(const CausalLM& model, const std::vector<PromptPair>& pairs,
                           const CollectOptions& options);

}  // namespace safetylock
