// Packed sequences through a model, layer by layer, and the head outputs of some of their tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/layer_weights.h"
#include "pipeline/prefix_tree.h"
#include "safetylock/causal_lm.h"
#include "safetylock/progress.h"

namespace safetylock {

/// What the pass knows of the kept tokens in one layer, on the model's device in its dtype.
struct KeptRows {
  std::int64_t layer;
  const LayerWeights& weights;
  at::Tensor x;       ///< [n, E]: the layer's input
  at::Tensor values;  ///< [n, H, D]: head outputs
};

/// Shifting holds the head outputs of all tokens at once.
enum class PassUse { reading, shifting };

/// Throws run.interrupted when `on_progress` says to stop.
class HeadOutputPass {
 public:
  /// `sequences` come in groups of `group` that share more than all of them do. `kept_bytes_a_row`: what the
  /// caller keeps of a row. Throws limit.memory.
  HeadOutputPass(const CausalLM& model, const std::vector<KeptSequence>& sequences, size_t group,
                 double kept_bytes_a_row, PassUse use = PassUse::reading);

  /// Tokens computed, shared prefixes once.
  std::int64_t tokens() const;

  /// Calls `visit(layer, values [kept tokens, H, D])` for each layer in turn, on the model's device in its
  /// dtype, having run all tokens through it; the last layer ends with its attention. Throws num.nonfinite
  /// (layer), run.interrupted.
  void run(const ProgressCallback& on_progress,
           const std::function<void(std::int64_t layer, const at::Tensor& values)>& visit) const;

  /// As run(), but what `shift` returns, [H*D] or nothing, is added to the head outputs of every token, kept
  /// or not, before they go on. Only where made for it.
  void run_shifted(const ProgressCallback& on_progress,
                   const std::function<at::Tensor(const KeptRows& rows)>& shift) const;

 private:
  class Wave;
  /// Returns what to add to all head outputs of the layer, or nothing.
  using LayerStep = std::function<at::Tensor(std::int64_t layer, const LayerWeights& weights,
                                             std::vector<Wave>& waves, const at::Tensor& values)>;
  void each_layer(const ProgressCallback& on_progress, const LayerStep& step) const;

  const CausalLM& model_;
  PassUse use_;
  std::vector<PrefixTree> waves_;
};

}  // namespace safetylock
