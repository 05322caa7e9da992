#include "pipeline/served_verdict.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace safetylock {
namespace {

// Of the separation. An engine's rounding may be a larger part of a small one; but what is further off than
// rounding explains is no agreement, however large the separation: a doubled lock can come near by accident.
constexpr double kNear = 0.1, kNearWithinRounding = 0.25;
constexpr double kShareTolerance = 0.25;
constexpr double kFirstShare = -3, kLastShare = 4, kShareStep = 0.01;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

class Judge {
 public:
  Judge(const std::vector<double>& shares, const std::vector<ServedValue>& values)
      : shares_(shares), values_(values) {}

  ServedVerdict judge() {
    v_.values = values_.size();
    if (values_.empty())
      return say(LockVerdict::cannot_tell, "the server gave no log-probabilities to compare");
    v_.from_locked = distance(1);
    v_.from_unlocked = distance(0);
    v_.separation = separation();
    find_share();
    if (v_.separation < kLeastSeparation) {
      return say(LockVerdict::cannot_tell, "the lock moves the compared log-probabilities by " +
                                               number(v_.separation) +
                                               " only, which an engine's rounding hides");
    }
    if (agrees(v_.from_locked) && std::abs(v_.share - 1) <= kShareTolerance) {
      return say(LockVerdict::locked, "what is served agrees with the locked model");
    }
    if (agrees(v_.from_unlocked)) {
      return say(LockVerdict::not_locked,
                 "what is served agrees with the unlocked model: the lock was dropped");
    }
    if (agrees(v_.unexplained)) {
      return say(LockVerdict::not_locked,
                 "the lock is in force at " + number(v_.share) + " times its strength");
    }
    if (std::min(v_.from_locked, v_.from_unlocked) > kRounding) {
      return say(
          LockVerdict::not_locked,
          "what is served agrees with the model neither with the lock nor without: another model, another "
          "lock, or a lock in other layers");
    }
    return say(LockVerdict::cannot_tell,
               "what is served differs from both by no more than lower precision explains");
  }

 private:
  bool agrees(double distance) const {
    return distance <= kNear * v_.separation ||
           (distance <= kRounding && distance <= kNearWithinRounding * v_.separation);
  }

  ServedVerdict say(LockVerdict verdict, std::string reason) {
    v_.verdict = verdict;
    v_.reason = std::move(reason);
    return v_;
  }

  /// What the model gives at `share`: on straight lines through the shares that are known.
  double expected(const ServedValue& value, double share) const {
    const auto above = std::upper_bound(shares_.begin() + 1, shares_.end() - 1, share);
    const auto i = static_cast<size_t>(above - shares_.begin());
    const double part = (share - shares_[i - 1]) / (shares_[i] - shares_[i - 1]);
    return value.expected[i - 1] + part * (value.expected[i] - value.expected[i - 1]);
  }

  double distance(double share) const {
    double squares = 0;
    for (const ServedValue& value : values_) {
      const double gap = value.observed - expected(value, share);
      squares += gap * gap;
    }
    return std::sqrt(squares / static_cast<double>(values_.size()));
  }

  double separation() const {
    double squares = 0;
    for (const ServedValue& value : values_) {
      const double gap = expected(value, 1) - expected(value, 0);
      squares += gap * gap;
    }
    return std::sqrt(squares / static_cast<double>(values_.size()));
  }

  void find_share() {
    v_.unexplained = v_.from_unlocked;
    v_.share = 0;
    const int steps = static_cast<int>(std::lround((kLastShare - kFirstShare) / kShareStep));
    for (int step = 0; step <= steps; ++step) {
      const double share = kFirstShare + kShareStep * step;
      const double left = distance(share);
      if (left < v_.unexplained) {
        v_.unexplained = left;
        v_.share = share;
      }
    }
    v_.share = std::round(v_.share * 100) / 100;
  }

  const std::vector<double>& shares_;
  const std::vector<ServedValue>& values_;
  ServedVerdict v_;
};

}  // namespace

ServedVerdict judge_served(const std::vector<double>& shares, const std::vector<ServedValue>& values) {
  return Judge(shares, values).judge();
}

}  // namespace safetylock
