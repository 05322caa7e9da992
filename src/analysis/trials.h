// All heads scored many times over, under other labels or other questions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analysis/head_scorer.h"

namespace safetylock {

struct Trial {
  std::vector<std::int64_t> labels;  ///< [N]
  std::vector<Split> splits;
};

/// [trials][L*H] in order of head, without intervals. A head's rows are gathered once for all trials. Throws
/// num.nonfinite, run.interrupted.
std::vector<std::vector<HeadScore>> score_trials(const RankingInput& input, std::span<const Trial> trials,
                                                 const RankOptions& options, const char* stage);

}  // namespace safetylock
