// Teacher-forced log-likelihood: how likely a model finds a given text after a given beginning.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/evaluate.h"

namespace safetylock {

struct Continuation {
  std::vector<TokenId> begin;  ///< not empty
  std::vector<TokenId> rest;   ///< not empty: what is scored
};

/// Beginning and rest, end to end.
std::vector<TokenId> whole(const Continuation& continuation);

/// `text` said in answer to `prompt`, number `index` of its kind in errors: the rest holds no control tokens
/// and is empty where the text has no token. Uses system and trust_special_tokens of the options. Throws as
/// encode_chat_prompt.
Continuation reply_to(const CausalLM& model, const std::string& prompt, const std::string& text,
                      const EvaluateOptions& options, size_t index);

/// Negative log-likelihood of each `rest` in nats, summed over its tokens. Up to `batch_size` together, fewer
/// where they are long: logits take V floats a token. `interventions` have one strength, or one for each
/// continuation. `report(done)` is called before each batch and at the
/// end. Throws arg.range (longer than the context), num.nonfinite, and what `report` throws.
std::vector<double> continuation_nll(const CausalLM& model, const std::vector<Continuation>& continuations,
                                     std::int64_t batch_size, const Interventions* interventions,
                                     const std::function<void(size_t done)>& report);

/// Negative log-likelihood [N - 1] float64 of each token but the first under the logits [N, V] of the tokens
/// `ids`. Throws num.nonfinite.
at::Tensor token_nll(const at::Tensor& logits, const std::vector<TokenId>& ids);

}  // namespace safetylock
