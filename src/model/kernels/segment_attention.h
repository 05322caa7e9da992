// Attention of many tokens at once on the CPU: prompts, and the replies that share them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/kernels/decode_attention.h"
#include "model/kernels/heads.h"
#include "model/kernels/instruction_set.h"

namespace safetylock {

/// Consecutive rows of keys and values.
struct KeyRows {
  bool cached;  ///< of the cache, whose slots lie end to end; or of this pass
  std::int64_t begin, length;
};

/// Consecutive tokens of one sequence. They see all of the `earlier` rows and, causally, themselves; of these
/// the last `window`, if that is not 0.
struct SegmentRows {
  std::int64_t begin, length;  ///< rows of this pass
  std::vector<KeyRows> earlier;
};

/// Where keys and values lie.
struct KeyValues {
  Heads keys, values;                     ///< [N, G, D], of this pass, the rows of both as far apart
  at::Tensor cached_keys, cached_values;  ///< [slots, C, G, D] contiguous; undefined where nothing is cached
};

/// softmax(cap(scale q k^T)) v for queries [N, H, D]: [N, H, D]. float32, bfloat16 or
/// float16 on the CPU, all of one dtype. Scores and sums are float32; with tiles the weights of bfloat16 are
/// rounded to it before they multiply the values, as in flash attention. What a token gets depends neither on
/// later tokens nor on other segments nor on the threads. libtorch's operator takes one sequence at a time,
/// and one query head.
at::Tensor segment_attention(const Heads& q, const KeyValues& kv, std::span<const SegmentRows> segments,
                             std::int64_t window, ScoreRule rule);

/// The same with one of the instruction sets that this host has.
at::Tensor segment_attention_with(InstructionSet set, const Heads& q, const KeyValues& kv,
                                  std::span<const SegmentRows> segments, std::int64_t window, ScoreRule rule);

}  // namespace safetylock
