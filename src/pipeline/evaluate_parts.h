// Parts of evaluate and causal_check that need no model.
#pragma once

#include <vector>

#include "safetylock/evaluate.h"

namespace safetylock {

/// Mean and its bootstrap interval (fixed seed). `values` must not be empty.
Mean mean_of(const std::vector<double>& values);

/// The verdict on refusal margins of the same prompts without and with the lock; none may be empty.
CausalCheck judge_shift(const std::vector<double>& harmful_unlocked,
                        const std::vector<double>& harmful_locked, const std::vector<double>& benign_unlocked,
                        const std::vector<double>& benign_locked);

}  // namespace safetylock
