// Parts of evaluate and causal_check that need no model.
#pragma once

#include <vector>

#include "safetylock/evaluate.h"

namespace safetylock {

/// count / n with its interval; all of [0, 1] when n is 0.
Rate rate_of(std::int64_t count, std::int64_t n);

/// Mean and its bootstrap interval (fixed seed); all 0 when `values` is empty.
Mean mean_of(const std::vector<double>& values);

/// sum(numerators) / sum(denominators) with its bootstrap interval over the pairs (fixed seed). Equal sizes.
Mean ratio_of(const std::vector<double>& numerators, const std::vector<double>& denominators);

/// Throws arg.pairing unless both are of one size.
McNemar mcnemar_of(const std::vector<bool>& unlocked, const std::vector<bool>& locked);

/// The verdict on refusal margins of the same prompts without and with the lock; none may be empty.
CausalCheck judge_shift(const std::vector<double>& harmful_unlocked,
                        const std::vector<double>& harmful_locked, const std::vector<double>& benign_unlocked,
                        const std::vector<double>& benign_locked);

}  // namespace safetylock
