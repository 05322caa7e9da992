// How strongly a SafetyLock is applied.
#pragma once

namespace safetylock {

/// alpha of the paper, in units of sigma: 0 means unlocked. Cannot hold a negative number, NaN or infinity: a
/// negative strength would remove safety, so this type has no way to say it.
class Strength {
 public:
  /// Unlocked.
  constexpr Strength() noexcept = default;
  /// Throws Error arg.alpha unless 0 <= alpha <= kMax.
  explicit Strength(double alpha);

  constexpr double alpha() const noexcept { return alpha_; }
  constexpr bool is_zero() const noexcept { return alpha_ == 0.0; }

  static constexpr double kMax = 1000.0;

 private:
  double alpha_ = 0.0;
};

}  // namespace safetylock
