// Grouped-query attention over packed segments.
#pragma once

#include <vector>

#include "model/kv_cache.h"
#include "model/packed_batch.h"
#include "model/torch_includes.h"

namespace safetylock {

/// What the layers of one pass share: masks and cache rows, made once.
class AttentionPlan {
 public:
  /// `cache` may be null when no segment has a slot; it must have room for the segments' tokens.
  AttentionPlan(const PackedBatch& batch, const KvCache* cache, const at::TensorOptions& options);

  /// softmax(q k^T / sqrt(D)) v for queries [N, H, D], keys and values [N, G, D]: head outputs [N, H, D].
  /// Stores keys and values in the cache, if there is one, without counting them yet.
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t layer) const;

 private:
  at::Tensor attend_segment(const Segment& segment, const at::Tensor& mask, const at::Tensor& q,
                            const at::Tensor& k, const at::Tensor& v, std::int64_t layer) const;
  at::Tensor decode(const at::Tensor& q, std::int64_t layer) const;

  const PackedBatch& batch_;
  const KvCache* cache_;
  /// A segment each: [length, earlier + length], 0 or -infinity; undefined where none is needed.
  std::vector<at::Tensor> masks_;
  bool decoding_ = false;              ///< one token for each of the cache's first slots, in order
  std::vector<std::int64_t> lengths_;  ///< decoding: tokens of each request, the new one included
  at::Tensor decode_mask_;             ///< decoding, not on the CPU: [B, 1, 1, longest], 0 or -infinity
  at::Tensor cache_rows_;  ///< slot * C + position of each row; undefined when no segment has a slot
};

}  // namespace safetylock
