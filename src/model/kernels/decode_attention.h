// One new token for each of many requests, attending to its own cached keys: the CPU kernel beside the ATen
// reference.
#pragma once

#include <cstdint>
#include <vector>

#include "model/kernels/heads.h"

namespace safetylock {

/// Rows [begin, end) of a slot of the cache; end > begin.
struct KeyRange {
  std::int64_t begin;
  std::int64_t end;
};

struct ScoreRule {
  float scale;        ///< what q k^T is multiplied by
  float softcap = 0;  ///< c > 0: a score s becomes c tanh(s / c); 0: it stays
};

/// softmax(cap(scale q k^T)) v for queries [B, H, D], keys and values [slots, C,
/// G, D] contiguous, request b using the rows seen[b] of slot b. Scores and sums in float32. [B, H, D]. For
/// float32, bfloat16 and float16 on the CPU. libtorch's own kernel takes one query head at a time,
/// which costs H/G times the reads, and has no fast path for bfloat16 and a single query.
at::Tensor decode_attention_cpu(const Heads& q, const at::Tensor& keys, const at::Tensor& values,
                                const std::vector<KeyRange>& seen, ScoreRule rule);

}  // namespace safetylock
