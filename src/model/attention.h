// Grouped-query attention over packed segments.
#pragma once

#include <vector>

#include "model/kernels/decode_attention.h"
#include "model/kernels/segment_attention.h"
#include "model/kv_cache.h"
#include "model/packed_batch.h"
#include "model/torch_includes.h"
#include "safetylock/model_config.h"

namespace safetylock {

/// What the layers of one pass share: masks and cache rows, made once.
class AttentionPlan {
 public:
  /// `cache` may be null when no segment has a slot; it must have room for the segments' tokens.
  AttentionPlan(const ModelConfig& config, const PackedBatch& batch, const KvCache* cache,
                const at::TensorOptions& options);

  /// softmax(cap(scale q k^T)) v, over the window of a sliding layer, for queries [N, H, D], keys and values
  /// [N, G, D]: head outputs [N, H, D]. Stores keys and values in the cache, if there is one, without
  /// counting them yet.
  at::Tensor attend(const Heads& q, const Heads& k, const Heads& v, std::int64_t layer) const;
  /// The same for more than a token each, in libtorch's operators, without storing anything: on CUDA, and in
  /// the tests.
  at::Tensor attend_by_operators(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 std::int64_t layer) const;
  /// Every request is at its next token: on the CPU, while decoding, and while the cache has room.
  void advance();

 private:
  /// What the layers of one kind share: those that see everything, or those that slide.
  struct Visibility {
    std::int64_t window = 0;     ///< 0: everything
    std::vector<KeyRange> keys;  ///< decoding: what each request sees, the new token included
    at::Tensor decode_mask;      ///< decoding, not with the CPU's kernel: [B, 1, 1, longest], 0 or -infinity
    /// Not with the CPU's kernel, a segment each: [length, earlier + length], 0 or -infinity; undefined where
    /// none is needed.
    std::vector<at::Tensor> masks;
  };
  Visibility visible_in(std::int64_t window, const at::TensorOptions& options) const;
  ScoreRule score_rule() const;
  std::vector<at::Tensor> masks_of(std::int64_t window, const at::TensorOptions& options) const;
  Visibility visible_over_buffers(std::int64_t window, const at::TensorOptions& options) const;
  const Visibility& visible_to(std::int64_t layer) const { return config_.slides(layer) ? window_ : all_; }
  at::Tensor attend_segment(const Segment& segment, const at::Tensor& mask, const at::Tensor& q,
                            const at::Tensor& k, const at::Tensor& v, std::int64_t layer) const;
  at::Tensor attend_densely(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& mask, bool is_causal) const;
  at::Tensor decode(const Heads& q, const Visibility& visible, std::int64_t layer) const;

  const ModelConfig& config_;
  const PackedBatch& batch_;
  const KvCache* cache_;
  bool decoding_ = false;  ///< one token for each of the cache's first slots, in order
  Visibility all_;
  Visibility window_;                  ///< empty where no layer slides
  std::vector<SegmentRows> segments_;  ///< for the CPU's kernel
  at::Tensor cache_rows_;  ///< slot * C + position of each row; undefined when no segment has a slot
};

}  // namespace safetylock
