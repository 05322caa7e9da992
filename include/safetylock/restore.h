// A lock that brings back what one fine-tune took: the difference between base and fine-tuned model where
// replies begin, as directions of heads. Why, and what it is worth: docs/restore.md.
//
// Thread rule: free functions; several threads may read one model.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/lock.h"
#include "safetylock/progress.h"
#include "safetylock/prompt_data.h"

namespace safetylock {

struct RestoreOptions {
  /// Tokens of each safe reply that are read, beside the one before it. >= 1.
  std::int64_t reply_tokens = 8;
  /// The penalty on the size of a layer's shift, as a share of the mean eigenvalue of W_o W_o^T. > 0: what
  /// W_o can hardly write is left out.
  double ridge = 0.01;
  double default_alpha = 1;  ///< stored in the lock; at 1 the means are the base's
  std::string system = {};   ///< system prompt; empty: the template's own default
  bool trust_special_tokens = false;
  ChatClock clock = {};               ///< empty: the system's
  ProgressCallback on_progress = {};  ///< unit "layers"
};

/// Where a model's residual stream is on average when it begins a refusal.
struct OpeningMeans {
  at::Tensor values;      ///< [L, E] float64: behind the attention of each layer, mean over all tokens read
  LockIdentity identity;  ///< of the model and the pairs; tokens_per_reply: reply_tokens
};

/// Reads the prompts and safe replies of `pairs`, layer by layer. Throws arg.locked (the model carries a
/// lock), arg.range, data.empty, data.too_short, data.too_long, num.nonfinite (layer), run.interrupted.
OpeningMeans read_opening_means(const CausalLM& model, const std::vector<PromptPair>& pairs,
                                const RestoreOptions& options = {});

/// What one layer of the fine-tuned model was short of when the layers before it had been mended.
struct LayerGap {
  double before = 0;  ///< distance between the means of base and fine-tuned model
  double after = 0;   ///< the same with this layer's shift
};

struct RestoredLock {
  SafetyLock lock;               ///< all heads that move, the largest shift first; sigma: its size
  std::vector<LayerGap> layers;  ///< [L]
};

/// One pass over the fine-tuned model: in each layer the shift of all its heads that brings the mean of the
/// residual stream to the base's (ridge regression through W_o), with which the pass goes on. The lock fits
/// this fine-tuned model and no other. Throws as read_opening_means, and bind.model, restore.pairs (`base`
/// was read from other pairs or tokens), restore.no_drift (the models do not differ).
RestoredLock restore_lock(const CausalLM& tuned, const OpeningMeans& base,
                          const std::vector<PromptPair>& pairs, const RestoreOptions& options = {});

}  // namespace safetylock
