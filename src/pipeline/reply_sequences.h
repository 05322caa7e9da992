// The halves of a prompt pair as token sequences.
#pragma once

#include "pipeline/prefix_tree.h"
#include "safetylock/head_activations.h"

namespace safetylock {

/// A chat up to the last token of its reply; kept are the last r tokens with bytes of the reply. Throws
/// data.too_short when the reply has no token, data.too_long beyond the model's context.
KeptSequence encode_reply(const CausalLM& model, const PromptPair& pair, bool safe, size_t index,
                          const CollectOptions& options);

}  // namespace safetylock
