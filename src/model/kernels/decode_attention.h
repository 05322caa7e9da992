// One new token for each of many requests, attending to its own cached keys: the CPU kernel beside the ATen
// reference.
#pragma once

#include <cstdint>
#include <vector>

#include "model/torch_includes.h"

namespace safetylock {

/// softmax(q k^T / sqrt(D)) v for queries [B, H, D] (last dimension contiguous), keys and values [slots, C,
/// G, D] contiguous, request b using the first lengths[b] > 0 rows of slot b. Scores and sums in float32. [B,
/// H, D]. For float32, bfloat16 and float16 on the CPU. libtorch's own kernel takes one query head at a time,
/// which costs H/G times the reads, and has no fast path for bfloat16 and a single query.
at::Tensor decode_attention_cpu(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                                const std::vector<std::int64_t>& lengths);

}  // namespace safetylock
