// The forward pass of a decoder over a packed batch, layer by layer.
#pragma once

#include "model/attention.h"
#include "model/hook_registry.h"
#include "model/kernels/scratch.h"
#include "model/kv_cache.h"
#include "model/packed_batch.h"
#include "model/rope.h"
#include "model/steering.h"
#include "model/weight_source.h"

namespace safetylock {

/// Everything the maths needs, immutable.
struct Decoder {
  ModelConfig config;
  std::shared_ptr<const WeightSource> weights;
  RopeFrequencies rope;  ///< on the model's device

  Decoder(ModelConfig model_config, std::shared_ptr<const WeightSource> model_weights);
  at::TensorOptions options() const { return weights->options(); }  ///< the model's device and dtype
  at::ScalarType dtype() const { return c10::typeMetaToScalarType(options().dtype()); }
};

/// One pass, all on one thread. The referenced objects must outlive it. Run under c10::InferenceMode.
class DecoderPass {
 public:
  /// With a cache, segments with a slot continue what the cache holds; `finish` counts their tokens.
  DecoderPass(const Decoder& decoder, const PackedBatch& batch, const Steering& steering, HookSnapshot hooks,
              KvCache* cache = nullptr);

  at::Tensor embed() const;  ///< [N, E]
  /// [N, H, D], the input of o_proj; `w` are the layer's weights.
  at::Tensor head_outputs(std::int64_t layer, const LayerWeights& w, const at::Tensor& x) const;
  /// The rest of the layer: x [N, E] and head outputs z [N, H, D] to the layer's output [N, E].
  at::Tensor after_attention(std::int64_t layer, const LayerWeights& w, const at::Tensor& x,
                             const at::Tensor& z) const;
  /// All layers; the tokens are in the cache afterwards. [N, E], before the final norm.
  at::Tensor run();
  /// Makes the pass over one token each on the CPU a pass over the next ones: after `run`, and after the ids
  /// of the batch were replaced and its positions counted up. Not for longrope, nor where the cache has
  /// grown.
  void advance();

 private:
  void show(HookPoint point, std::int64_t layer, at::Tensor& value) const;

  ScratchScope scratch_;
  const Decoder& decoder_;
  const PackedBatch& batch_;
  const Steering& steering_;
  HookSnapshot hooks_;
  KvCache* cache_;
  RopeTables rope_;
  AttentionPlan attention_;
};

/// float32 logits of `hidden` [M, E] (outputs of the last layer) written to `out` [M, V], a few rows at a
/// time.
void logits_into(const Decoder& decoder, const at::Tensor& hidden, const at::Tensor& out);

}  // namespace safetylock
