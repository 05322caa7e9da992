// L2-regularised logistic regression of one head: the optimum of ProbeProblem.
#pragma once

#include <cstdint>
#include <span>

#include "analysis/row_kernels.h"
#include "safetylock/probes.h"

namespace safetylock {

/// `labels` holds 0 or 1 for each row that `rows` names. Serial, so that callers run one head per task. The
/// weights have the rows' padded length.
Probe fit_probe(const RowView& rows, std::span<const std::int64_t> labels, const ProbeOptions& options);

}  // namespace safetylock
