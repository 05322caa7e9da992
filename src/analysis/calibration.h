// From margins to calibrated probabilities, and from those to a threshold.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace safetylock {

/// log-odds = slope * margin + offset (Platt 1999): the likeliest for these margins and labels.
struct Calibration {
  double slope = 1;
  double offset = 0;

  double log_odds(double margin) const noexcept { return slope * margin + offset; }
};

/// `labels` holds 0 or 1 for each margin; both occur, and no margin separates them (else the slope is the
/// largest that a weak penalty allows).
Calibration calibrate(std::span<const double> margins, std::span<const std::int64_t> labels);

/// Mean negative log-likelihood of the labels, in nats.
double mean_log_loss(std::span<const double> log_odds, std::span<const std::int64_t> labels);

/// The lowest threshold, in log-odds, that at most `rate` of the `harmless` scores reach: half way between
/// the last score that may not reach it and the next above. `harmless` is not empty, 0 <= rate < 1.
double threshold_for(std::vector<double> harmless, double rate);

}  // namespace safetylock
