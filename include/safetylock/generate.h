// Text generation, for one prompt or many at once.
//
// Thread rule: free functions; several threads may generate with one model.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/gate.h"
#include "safetylock/sampling.h"
#include "safetylock/strength.h"

namespace safetylock {

/// Gets the text of the reply to requests[request] piece by piece, as it becomes certain: whole characters,
/// and nothing that may turn out to belong to a stop string. The pieces together are Generation::text.
/// Called from the calling thread; what it throws ends the call.
using TextCallback = std::function<void(size_t request, std::string_view text)>;

struct GenerateOptions {
  std::int64_t max_new_tokens = 128;         ///< > 0
  std::int64_t batch_size = 16;              ///< requests decoded together; > 0
  std::string system = {};                   ///< system prompt; empty: the template's own default
  bool trust_special_tokens = false;         ///< let control tokens spelled in the prompt be control tokens
  std::int64_t logprobs = 0;                 ///< 0..20: how many of the likeliest tokens to report a step
  std::vector<TokenId> stop_token_ids = {};  ///< besides the model's own
  std::vector<std::string> stop = {};        ///< texts before which a reply ends; 64 of 1024 bytes at most
  SamplingOptions sampling = {};             ///< of the requests that have none of their own
  TextCallback on_text = {};
  ProgressCallback on_progress = {};  ///< unit "prompts"
};

/// One request of a batch: a chat, and optionally a strength of its own.
struct GenerateRequest {
  std::vector<ChatMessage> messages = {};
  /// Nothing: as the lock applied to the model says. 0: unlocked. Otherwise needs an applied lock, and is
  /// what a request gets that opens its gate.
  std::optional<Strength> strength = {};
  /// Of a lock with a gate: false has it act on this request whatever its gate would say.
  bool conditional = true;
  /// Nothing: as the options say. Draws then depend on the seed, the request's index and the step; with
  /// sampling of its own a request draws as if it were alone. Never on the rest of the batch.
  std::optional<SamplingOptions> sampling = {};
};

struct TokenLogprob {
  TokenId id;
  double logprob;  ///< natural logarithm
};

struct Generation {
  std::vector<TokenId> prompt_ids;
  /// The reply: without the stop token, but with the token that completed a stop string.
  std::vector<TokenId> token_ids;
  std::string text;           ///< the reply, cut before a stop string
  std::string finish_reason;  ///< "stop" (a stop token or a stop string) or "length"
  /// [steps][logprobs], likeliest first, of the model's own distribution; steps include the stop token's.
  std::vector<std::vector<TokenLogprob>> logprobs;
  /// What the gate of the applied lock said; nothing without one, and for requests that it was not asked of
  /// (unlocked, or not conditional).
  std::optional<GateReading> gate;
};

/// Answers one user prompt. Throws arg.prompt (empty, invalid UTF-8, too long with byte or token counts),
/// arg.range, arg.stop (empty, too long, invalid UTF-8), num.nonfinite (layer or step), run.interrupted.
Generation generate(const CausalLM& model, const std::string& prompt, const GenerateOptions& options = {});

/// Answers every request; results in the order of the requests, independent of batch_size within rounding.
/// A gate decides when a prompt has been read; a request that opens it is read anew with the lock on, so that
/// it is answered as by an unconditional lock (hooks see both passes). Where the lock has a gate of replies,
/// it reads the first tokens of the others' replies, which are held back for so long; a reply that opens it
/// is begun anew in the same way. After that the decision holds.
std::vector<Generation> generate_batch(const CausalLM& model, const std::vector<GenerateRequest>& requests,
                                       const GenerateOptions& options = {});

}  // namespace safetylock
