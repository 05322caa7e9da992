// The part of sweep that needs no model.
#pragma once

#include <optional>
#include <vector>

#include "safetylock/sweep.h"

namespace safetylock {

/// Index of the cell with the least alpha * sqrt(num_heads) among those that meet the limits: how far a
/// setting pushes the residual stream, up to a constant, as heads add up like independent directions.
std::optional<size_t> mildest(const std::vector<SweepCell>& cells, const SweepLimits& limits);

}  // namespace safetylock
