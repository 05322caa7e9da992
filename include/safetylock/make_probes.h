// The probes of verify.json, computed on a model.
#pragma once

#include "safetylock/causal_lm.h"
#include "safetylock/lock.h"
#include "safetylock/verify_probes.h"

namespace safetylock {

/// Eight short prompts, harmful and harmless, through the model's chat template where it has one; for each
/// the ten likeliest next tokens without the lock and with it at `alpha`. Throws lock.state when a lock is on
/// the model already, and as apply_lock.
VerifyProbes make_verify_probes(const CausalLM& model, const SafetyLock& lock, double alpha);

}  // namespace safetylock
