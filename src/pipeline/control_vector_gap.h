// How far a control vector is from the lock that it stands for.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/lock.h"
#include "safetylock/progress.h"

namespace safetylock {

/// Over all tokens of the causal check's prompts; logits of each token are centred, so that a shift of all of
/// them, which changes nothing, does not count.
struct ControlVectorGap {
  std::int64_t prompts = 0, tokens = 0;
  double largest_logit_gap = 0;
  double mean_kl = 0;           ///< nats a token, KL(lock || control vector)
  double mean_kl_unlocked = 0;  ///< the same of the unlocked model: what there is to approximate
  double same_first_token = 0;  ///< share of tokens with the same likeliest next token
};

/// `directions`: layer -> [E], added to the layer's output. Throws bind.model, run.interrupted.
ControlVectorGap control_vector_gap(const CausalLM& model, const SafetyLock& lock, Strength strength,
                                    const std::map<std::int64_t, std::vector<float>>& directions,
                                    const ProgressCallback& on_progress = {});

}  // namespace safetylock
