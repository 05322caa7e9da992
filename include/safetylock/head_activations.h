// Head outputs on safe and unsafe replies: step 1 of the method.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/lock.h"
#include "safetylock/prompt_data.h"

namespace safetylock {

struct CollectOptions {
  std::int64_t tokens_per_reply =
      5;                    ///< r: the last r tokens of each reply; a shorter reply gives all it has
  std::string system = {};  ///< system prompt; empty: the template's own default
  bool trust_special_tokens = false;
  /// Empty: the system's. Templates that print the date (Llama 3.1 and later, SmolLM3, Mistral Small) give
  /// other rows each day; set it where two runs must give the same.
  ChatClock clock = {};
  ProgressCallback on_progress = {};  ///< unit "layers"
};

/// Which row is what. Rows are ordered by pair, safe before unsafe, then by token.
struct ActivationRows {
  at::Tensor labels;     ///< [N] int64: 1 safe, 0 unsafe
  at::Tensor groups;     ///< [N] int64: index of the pair (its question)
  at::Tensor positions;  ///< [N] int64: position of the token in its sequence
};

/// Everything `derive_lock` needs: the rows' head outputs and where they come from.
struct HeadActivations {
  at::Tensor values;  ///< [N, L, H, D] float32 on the CPU
  ActivationRows rows;
  LockIdentity provenance;  ///< of the model and the pairs; `protocol` and `seed` are filled by later steps
  double seconds = 0;       ///< spent in the forward passes
  std::int64_t tokens = 0;  ///< tokens computed, shared prefixes once
};

/// Which rows for_each_layer will show, without running the model. Throws data.empty, data.too_short,
/// data.too_long, arg.range.
ActivationRows activation_rows(const CausalLM& model, const std::vector<PromptPair>& pairs,
                               const CollectOptions& options = {});

/// Calls `visit(layer, values [N, H, D] in the model's dtype on its device)` for each layer in turn, having
/// run all pairs through that layer: weights are touched once, prefixes shared by sequences are computed
/// once, there is no padding, no logits, and nothing after the last layer's attention. Throws data.empty,
/// data.too_short (a reply without tokens), data.too_long, num.nonfinite (layer).
ActivationRows for_each_layer(const CausalLM& model, const std::vector<PromptPair>& pairs,
                              const CollectOptions& options,
                              const std::function<void(std::int64_t layer, const at::Tensor& values)>& visit);

/// Keeps what for_each_layer shows.
HeadActivations collect_head_activations(const CausalLM& model, const std::vector<PromptPair>& pairs,
                                         const CollectOptions& options = {});

}  // namespace safetylock
