// Greedy text generation, for one prompt or many at once.
//
// Thread rule: free functions; several threads may generate with one model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/strength.h"

namespace safetylock {

struct GenerateOptions {
  std::int64_t max_new_tokens = 128;         ///< > 0
  std::int64_t batch_size = 16;              ///< requests decoded together; > 0
  std::string system = {};                   ///< system prompt; empty: the template's own default
  bool trust_special_tokens = false;         ///< let control tokens spelled in the prompt be control tokens
  std::int64_t logprobs = 0;                 ///< 0..20: how many of the likeliest tokens to report a step
  std::vector<TokenId> stop_token_ids = {};  ///< besides the model's own
  ProgressCallback on_progress = {};         ///< unit "prompts"
};

/// One request of a batch: a chat, and optionally a strength of its own.
struct GenerateRequest {
  std::vector<ChatMessage> messages = {};
  /// Nothing: as the lock applied to the model says. 0: unlocked. Otherwise needs an applied lock.
  std::optional<Strength> strength = {};
};

struct TokenLogprob {
  TokenId id;
  double logprob;  ///< natural logarithm
};

struct Generation {
  std::vector<TokenId> prompt_ids;
  std::vector<TokenId> token_ids;  ///< the reply, without the stop token
  std::string text;                ///< the reply
  std::string finish_reason;       ///< "stop" (a stop token) or "length"
  std::vector<std::vector<TokenLogprob>>
      logprobs;  ///< [steps][logprobs], likeliest first; steps include the stop token's
};

/// Answers one user prompt. Throws arg.prompt (empty, invalid UTF-8, too long with byte or token counts),
/// arg.range, num.nonfinite (layer or step), run.interrupted.
Generation generate(const CausalLM& model, const std::string& prompt, const GenerateOptions& options = {});

/// Answers every request; results in the order of the requests, independent of batch_size within rounding.
std::vector<Generation> generate_batch(const CausalLM& model, const std::vector<GenerateRequest>& requests,
                                       const GenerateOptions& options = {});

}  // namespace safetylock
