// Sequences packed with what they share computed once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/packed_batch.h"

namespace safetylock {

/// A sequence, and which of its tokens are wanted.
struct KeptSequence {
  std::vector<TokenId> ids;        ///< not empty
  std::vector<std::int64_t> kept;  ///< positions, ascending
};

/// The longest common prefix of all, then the longest common prefix of each group (the two replies of a
/// pair), then the tails.
struct PrefixTree {
  PackedBatch batch;
  at::Tensor kept_rows;  ///< [N] int64 on the CPU: row of each sequence's kept tokens, sequence by sequence
};
/// `sequences` are groups of `group` each, at least one; the first one is request `first_request`.
PrefixTree build_prefix_tree(std::span<const KeptSequence> sequences, size_t group, size_t first_request = 0);

/// The same in several trees of at most `max_tokens` tokens, or of one group: what goes through a layer at
/// once.
std::vector<PrefixTree> build_prefix_trees(std::span<const KeptSequence> sequences, size_t group,
                                           std::int64_t max_tokens);

}  // namespace safetylock
