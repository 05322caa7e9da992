// Prompt pairs as token sequences, and the prefixes that sequences share.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/packed_batch.h"
#include "safetylock/head_activations.h"

namespace safetylock {

/// A chat up to the last token of its reply, and where its last reply tokens are.
struct ReplySequence {
  std::vector<TokenId> ids;
  std::vector<std::int64_t> kept;  ///< positions of the last r tokens with bytes of the reply, ascending
};

/// Throws data.too_short when the reply has no token, data.too_long beyond the model's context.
ReplySequence encode_reply(const CausalLM& model, const PromptPair& pair, bool safe, size_t index,
                           const CollectOptions& options);

/// Sequences two by two (safe and unsafe reply of a pair) packed with what they share computed once: the
/// longest common prefix of all, then the longest common prefix of each two, then the tails.
struct PrefixTree {
  PackedBatch batch;
  at::Tensor kept_rows;  ///< [N] int64 on the CPU: row of each sequence's kept tokens, sequence by sequence
};
/// `sequences` has an even, non-zero number of entries, none empty; the first one is request `first_request`.
PrefixTree build_prefix_tree(std::span<const ReplySequence> sequences, size_t first_request = 0);

/// The same in several trees of at most `max_tokens` tokens, or of one pair: what goes through a layer at
/// once.
std::vector<PrefixTree> build_prefix_trees(std::span<const ReplySequence> sequences, std::int64_t max_tokens);

}  // namespace safetylock
