// How the next token of a reply is chosen.
#pragma once

#include <cstdint>

namespace safetylock {

/// By default the likeliest token is taken. The steps, in this order, are those of transformers'
/// `generate(do_sample=True)`: repetition penalty, temperature, top-k, top-p, min-p.
struct SamplingOptions {
  double temperature = 0;         ///< 0..100; 0: always the likeliest token
  std::int64_t top_k = 0;         ///< only the k likeliest tokens, and what ties with the last; 0: all
  double top_p = 1;               ///< 0..1: only the likeliest tokens that together reach this probability
  double min_p = 0;               ///< 0..1: only tokens at least min_p times as probable as the likeliest
  double repetition_penalty = 1;  ///< 0.01..100; above 1: tokens that have occurred become less likely
  std::uint64_t seed = 0;         ///< of the draws; the same seed gives the same reply
};

}  // namespace safetylock
