// Is what a server answers locked? By token ids in and log-probabilities out, against what the model itself
// gives.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/served_verdict.h"
#include "remote/endpoint.h"
#include "safetylock/causal_lm.h"
#include "safetylock/lock.h"
#include "safetylock/progress.h"
#include "safetylock/verify_probes.h"

namespace safetylock {

using ServedPrompts = std::vector<std::vector<TokenId>>;

/// What a server says of the token behind a prompt: up to 20 of the likeliest, none where it gives none.
struct ServedAnswer {
  std::vector<TokenId> prompt_ids;
  std::vector<RemoteToken> likeliest;
};

/// Asks for one token behind each prompt. Throws what Endpoint throws, and run.interrupted.
std::vector<ServedAnswer> ask_served(Endpoint& endpoint, const ServedPrompts& prompts,
                                     const ProgressCallback& on_progress = {});

/// Prompts of the causal check, as `model`'s chat template renders them.
ServedPrompts served_prompts(const CausalLM& model);

/// Compares `answers` with what `model` gives with the lock at -1, 0, 0.5, 1 and 2 times `strength`. Tokens
/// that the server names by text alone are left out. Throws bind.model, run.interrupted.
ServedVerdict verify_served(const CausalLM& model, const SafetyLock& lock, Strength strength,
                            const std::vector<ServedAnswer>& answers,
                            const ProgressCallback& on_progress = {});

/// The prompts of verify.json.
ServedPrompts served_prompts(const VerifyProbes& probes);

/// Compares `answers`, one a probe, with verify.json: the locked model and the unlocked one. Tokens that the
/// server names by text are found by it where only one token of the probe has it.
ServedVerdict verify_served(const VerifyProbes& probes, const std::vector<ServedAnswer>& answers);

}  // namespace safetylock
