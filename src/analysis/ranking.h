// Scores of heads under given splits: what rank_heads does once it has drawn them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analysis/head_rows.h"
#include "analysis/splits.h"
#include "safetylock/probes.h"

namespace safetylock {

/// Throws arg.range for a C, tolerance or iteration limit that is not positive (and finite).
void check_probe_options(const ProbeOptions& options);

/// The scores of all heads, in order of head. Result does not depend on the number of threads.
/// Throws num.nonfinite, probe.degenerate (no head varies at all), run.interrupted.
std::vector<HeadScore> score_heads(const HeadValues& values, std::int64_t heads_per_layer,
                                   std::span<const std::int64_t> labels, const Questions& questions,
                                   std::span<const Split> splits, const RankOptions& options);

/// Best first: by accuracy, then AUC, then HeadId.
void sort_best_first(std::vector<HeadScore>& scores);

}  // namespace safetylock
