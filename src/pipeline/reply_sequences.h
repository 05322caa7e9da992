// The halves of a prompt pair as token sequences.
#pragma once

#include "pipeline/prefix_tree.h"
#include "safetylock/head_activations.h"

namespace safetylock {

/// A chat up to the last token of its reply; kept are the last r tokens with bytes of the reply. Throws
/// data.too_short when the reply has no token, data.too_long beyond the model's context.
KeptSequence encode_reply(const CausalLM& model, const PromptPair& pair, bool safe, size_t index,
                          const CollectOptions& options);

/// A chat up to the n-th token of its reply; kept are the token before the reply, which says how it begins,
/// and these n (fewer where the reply is shorter). Throws as encode_reply.
KeptSequence encode_reply_opening(const CausalLM& model, const PromptPair& pair, size_t index, std::int64_t n,
                                  const CollectOptions& options);

}  // namespace safetylock
