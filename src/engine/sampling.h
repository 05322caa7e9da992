// The choice of one token from one row of logits, as transformers' logits processors and warpers make it.
// Plain arithmetic: knows no tensor and no model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "safetylock/sampling.h"
#include "safetylock/tokenizer.h"

namespace safetylock {

/// Throws arg.range for a value out of its range, and for a filter that has no effect at temperature 0.
void check_sampling(const SamplingOptions& options);

/// Whether the choice is the largest raw logit, which needs nothing of what follows.
bool is_greedy(const SamplingOptions& options) noexcept;

/// Uniform in [0, 1), a function of its arguments alone: no state that depends on what else is decoded.
double uniform_draw(std::uint64_t seed, std::uint64_t request, std::uint64_t step) noexcept;

/// What a choice depends on besides the logits.
struct SamplingContext {
  std::span<const TokenId> prompt, reply;  ///< what the repetition penalty looks at
};

/// A token that passed the filters. Its weight is its probability but for a factor common to all.
struct SamplingCandidate {
  TokenId id;
  double score;   ///< logit after penalty and temperature; the best one's is 0
  double weight;  ///< exp(score)
};

/// Keeps its memory from row to row: one for each thread.
class Sampler {
 public:
  /// The tokens that may be chosen, by id; at temperature 0 just one. `logits` [V] must be finite. Valid
  /// until the next call.
  std::span<const SamplingCandidate> candidates(std::span<const float> logits, const SamplingContext& context,
                                                const SamplingOptions& options);
  /// The candidate that `draw` in [0, 1) falls on.
  TokenId choose(std::span<const float> logits, const SamplingContext& context,
                 const SamplingOptions& options, double draw);

 private:
  void score(std::span<const float> logits, const SamplingContext& context, const SamplingOptions& options);
  void keep_best();
  void keep_top_k(std::int64_t k);
  void keep_top_p(double p);

  std::vector<SamplingCandidate> kept_;
};

}  // namespace safetylock
