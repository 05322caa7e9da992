// Packed sequences through a model, layer by layer, and the head outputs of some of their tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "pipeline/prefix_tree.h"
#include "safetylock/causal_lm.h"
#include "safetylock/progress.h"

namespace safetylock {

/// Throws run.interrupted when `on_progress` says to stop.
class HeadOutputPass {
 public:
  /// `sequences` come in groups of `group` that share more than all of them do. `kept_bytes_a_row`: what the
  /// caller keeps of a row. Throws limit.memory.
  HeadOutputPass(const CausalLM& model, const std::vector<KeptSequence>& sequences, size_t group,
                 double kept_bytes_a_row);

  /// Tokens computed, shared prefixes once.
  std::int64_t tokens() const;

  /// Calls `visit(layer, values [kept tokens, H, D])` for each layer in turn, on the model's device in its
  /// dtype, having run all tokens through it; the last layer ends with its attention. Throws num.nonfinite
  /// (layer), run.interrupted.
  void run(const ProgressCallback& on_progress,
           const std::function<void(std::int64_t layer, const at::Tensor& values)>& visit) const;

 private:
  const CausalLM& model_;
  std::vector<PrefixTree> waves_;
};

}  // namespace safetylock
