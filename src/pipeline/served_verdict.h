// Whether what a server answers is what a locked model answers: numbers in, a verdict out.
//
// A lock may change no token of a reply, so log-probabilities are compared. Each observed one is set against
// what the model gives with several shares of the lock's strength: 0 is the unlocked model, 1 the locked one.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "safetylock/verify.h"

namespace safetylock {

/// The log-probability of one token behind one prompt.
struct ServedValue {
  std::vector<double> expected;  ///< at each of the shares
  double observed = 0;
};

/// Distances are root mean squares over all values, in nats.
struct ServedVerdict {
  LockVerdict verdict = LockVerdict::cannot_tell;
  std::string reason;      ///< one sentence
  size_t values = 0;       ///< compared
  double separation = 0;   ///< between what the locked and the unlocked model give
  double from_locked = 0;  ///< of what was observed
  double from_unlocked = 0;
  double share = 0;        ///< of the lock's strength that explains it best: 1 locked, 0.5 halved, -1 flipped
  double unexplained = 0;  ///< distance that is left at that share
};

/// Below this separation an engine's rounding hides the lock (llama.cpp's differs from ours by up to 3e-3).
inline constexpr double kLeastSeparation = 3e-3;
/// Rounding of weights and activations to 8 or 16 bits moves log-probabilities up to about so much.
inline constexpr double kRounding = 0.06;

/// `shares`, ascending, hold 0 and 1; `values` may be empty.
ServedVerdict judge_served(const std::vector<double>& shares, const std::vector<ServedValue>& values);

}  // namespace safetylock
