#include "analysis/calibration.h"

#include <algorithm>
#include <cmath>

#include "analysis/head_rows.h"
#include "analysis/probe_solver.h"

namespace safetylock {
namespace {

/// So weak that it matters only where the margins separate the labels.
constexpr double kWeakPenalty = 1e3;
/// How far above the highest score a threshold lies that none may reach, in log-odds.
constexpr double kMargin = 0.5;

}  // namespace

Calibration calibrate(std::span<const double> margins, std::span<const std::int64_t> labels) {
  constexpr size_t kWidth = padded_row_length(1);
  std::vector<double> rows(margins.size() * kWidth);
  double squares = 0;
  for (const double margin : margins) squares += margin * margin;
  const double size = squares > 0 ? std::sqrt(squares / static_cast<double>(margins.size())) : 1;
  for (size_t i = 0; i < margins.size(); ++i) rows[i * kWidth] = margins[i] / size;
  const std::vector<std::int64_t> index = all_rows(static_cast<std::int64_t>(margins.size()));
  const Probe probe = fit_probe({rows.data(), index, kWidth}, labels, {.C = kWeakPenalty});
  return {.slope = probe.weights.front() / size, .offset = probe.intercept};
}

double mean_log_loss(std::span<const double> log_odds, std::span<const std::int64_t> labels) {
  double sum = 0;
  for (size_t i = 0; i < log_odds.size(); ++i) {
    const double z = labels[i] == 1 ? log_odds[i] : -log_odds[i];
    sum += std::max(-z, 0.0) + std::log1p(std::exp(-std::abs(z)));
  }
  return sum / static_cast<double>(log_odds.size());
}

double threshold_for(std::vector<double> harmless, double rate) {
  std::sort(harmless.begin(), harmless.end(), std::greater<>());
  const auto may_reach = static_cast<size_t>(std::floor(rate * static_cast<double>(harmless.size())));
  const double last = harmless[may_reach];  // may not reach it, and so neither what equals it
  const auto above = std::find_if(harmless.rbegin(), harmless.rend(), [&](double s) { return s > last; });
  return above == harmless.rend() ? last + kMargin : (last + *above) / 2;
}

}  // namespace safetylock
