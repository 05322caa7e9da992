// How far a lock moves what a model would say anyway: KL(unlocked || locked) over given texts.
#pragma once

#include <vector>

#include "pipeline/evaluate/continuation.h"
#include "safetylock/causal_lm.h"

namespace safetylock {

/// Sum over the rows of KL(softmax(p) || softmax(q)) in nats; both [N, V] logits. In double.
double kl_sum(const at::Tensor& p, const at::Tensor& q);

/// [strengths]: mean over the counted tokens of the KL divergence, in nats, from the model's distribution
/// without `lock` to that with it at each strength. `text` counts at least one token. All strengths run in
/// one batch as far as memory for their logits allows. Throws as CausalLM::logits.
std::vector<double> mean_divergences(const CausalLM& model, const Interventions& lock,
                                     const Continuation& text, const std::vector<Strength>& strengths);

}  // namespace safetylock
