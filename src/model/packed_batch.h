// Tokens of many sequences laid end to end, without padding.
#pragma once

#include <cstdint>
#include <vector>

#include "model/torch_includes.h"
#include "safetylock/tokenizer.h"

namespace safetylock {

/// Consecutive tokens of one sequence. They attend to all rows of their parents, to what the KV cache holds
/// for their slot, and causally to themselves, in this order.
struct Segment {
  std::int64_t begin = 0;   ///< first row
  std::int64_t length = 0;  ///< rows; > 0
  /// Earlier segments whose tokens come before this one's in its sequence, in order: how sequences share a
  /// prefix.
  std::vector<size_t> parents = {};
  std::int64_t slot = -1;  ///< place in the KV cache; -1: none
};

struct PackedBatch {
  at::Tensor ids;        ///< [N] int64 on the CPU
  at::Tensor positions;  ///< [N] int64 on the CPU: place of the token in its sequence
  at::Tensor
      requests;  ///< [N] int64 on the CPU: which sequence of the call; for a shared prefix the first one
  std::vector<Segment> segments;  ///< in order, tile [0, N)
  /// For a decoding step over buffers: row i is the next token of slot i of the KV cache, `ids` and
  /// `positions` are on the model's device and their values not known here, and there are no segments.
  bool over_buffers = false;

  std::int64_t rows() const { return ids.size(0); }
};

/// Collects segments, then packs them.
class BatchBuilder {
 public:
  /// Appends `tokens` as one segment whose first token has position `first_position`; returns the segment's
  /// index.
  size_t add(const std::vector<TokenId>& tokens, std::int64_t first_position, std::int64_t request,
             std::vector<size_t> parents = {}, std::int64_t slot = -1);
  PackedBatch build() const;

 private:
  std::vector<std::int64_t> ids_, positions_, requests_;
  std::vector<Segment> segments_;
};

}  // namespace safetylock
