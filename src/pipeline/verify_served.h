// Is what a server answers locked? By token ids in and log-probabilities out, against what the model itself gives.
#pragma once

#include <vector>

#include "pipeline/served_verdict.h"
#include "remote/endpoint.h"
#include "safetylock/causal_lm.h"
#include "safetylock/lock.h"
#include "safetylock/progress.h"

namespace safetylock {

struct ServedLogprob {
  TokenId id = 0;
  double logprob = 0;
};

/// What a server says of the token behind a prompt.
struct ServedAnswer {
  std::vector<TokenId> prompt_ids;
  std::vector<ServedLogprob> likeliest;  ///< up to 20; none where the server gives no log-probabilities of token ids
};

/// Asks for one token behind each prompt. Throws what Endpoint throws, and run.interrupted.
std::vector<ServedAnswer> ask_served(Endpoint& endpoint, const std::vector<std::vector<TokenId>>& prompts,
                                     const ProgressCallback& on_progress = {});

/// The prompts that verify_served asks about: of the causal check, as `model`'s chat template renders them.
std::vector<std::vector<TokenId>> served_prompts(const CausalLM& model);

/// Compares `answers` with what `model` gives with the lock at -1, 0, 0.5, 1 and 2 times `strength`. Throws
/// bind.model, run.interrupted.
ServedVerdict verify_served(const CausalLM& model, const SafetyLock& lock, Strength strength,
                            const std::vector<ServedAnswer>& answers, const ProgressCallback& on_progress = {});

}  // namespace safetylock
