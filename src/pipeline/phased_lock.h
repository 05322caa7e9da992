// A lock that acts at some tokens only: in the prompt, or where the reply is written.
#pragma once

#include <vector>

#include "safetylock/ablation.h"
#include "safetylock/causal_lm.h"

namespace safetylock {

/// In force from construction to destruction, in passes over whole prompts and in generation: there a token
/// belongs to the reply if it is the last of its sequence in the pass, which the prompt's last token and,
/// with a cache, each generated one is. Phase::both is the usual lock.
class [[nodiscard]] PhasedLock {
 public:
  /// Throws lock.state when the model carries a lock, arg.alpha, bind.model for heads that it does not have.
  PhasedLock(const CausalLM& model, const std::vector<HeadDirection>& heads, double alpha, Phase phase);

 private:
  std::vector<HookHandle> handles_;
};

}  // namespace safetylock
