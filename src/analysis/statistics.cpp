#include "analysis/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "analysis/random.h"

namespace safetylock {

Interval wilson_interval(std::int64_t successes, std::int64_t n) {
  if (n == 0) return {0.0, 1.0};
  constexpr double z = 1.959963984540054;  // 97.5 % quantile of the normal distribution
  const double count = static_cast<double>(n);
  const double share = static_cast<double>(successes) / count;
  const double shrink = 1.0 / (1.0 + z * z / count);
  const double centre = (share + z * z / (2.0 * count)) * shrink;
  const double half = z * std::sqrt(share * (1.0 - share) / count + z * z / (4.0 * count * count)) * shrink;
  // At 0 and n the bound is exact; rounding must not say otherwise.
  return {successes == 0 ? 0.0 : centre - half, successes == n ? 1.0 : centre + half};
}

double percentile(std::span<const double> sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

BootstrapResamples::BootstrapResamples(size_t units, size_t count, std::uint64_t seed)
    : units_(units), count_(count), multiplicities_(units * count) {
  Random random(seed);
  for (size_t b = 0; b < count; ++b) {
    for (size_t i = 0; i < units; ++i) ++multiplicities_[b * units + random.below(units)];
  }
}

Interval central_interval(std::vector<double>& statistics) {
  std::sort(statistics.begin(), statistics.end());
  return {percentile(statistics, 0.025), percentile(statistics, 0.975)};
}

Interval bootstrap_mean_interval(std::span<const double> values, std::uint64_t seed, size_t resamples) {
  const BootstrapResamples draws(values.size(), resamples, seed);
  std::vector<double> means(resamples);
  for (size_t b = 0; b < resamples; ++b) {
    const std::span<const std::uint32_t> times = draws.multiplicities(b);
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += times[i] * values[i];
    means[b] = sum / static_cast<double>(values.size());
  }
  return central_interval(means);
}

Interval bootstrap_ratio_interval(std::span<const double> numerators, std::span<const double> denominators,
                                  std::uint64_t seed, size_t resamples) {
  const BootstrapResamples draws(numerators.size(), resamples, seed);
  std::vector<double> ratios(resamples);
  for (size_t b = 0; b < resamples; ++b) {
    const std::span<const std::uint32_t> times = draws.multiplicities(b);
    double above = 0, below = 0;
    for (size_t i = 0; i < numerators.size(); ++i) {
      above += times[i] * numerators[i];
      below += times[i] * denominators[i];
    }
    ratios[b] = above / below;
  }
  return central_interval(ratios);
}

double mcnemar_exact(std::int64_t b, std::int64_t c) {
  const std::int64_t n = b + c, fewer = std::min(b, c);
  const auto log_factorial = [](std::int64_t k) { return std::lgamma(static_cast<double>(k) + 1); };
  double tail = 0;
  for (std::int64_t k = 0; k <= fewer; ++k) {
    tail += std::exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) -
                     static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

double area_under_roc(std::span<const double> scores, std::span<const std::int64_t> labels) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  // Twice the number of (label 1, label 0) pairs in the right order, ties once: exact in integers.
  std::int64_t zeros_below = 0, ones = 0, twice_right = 0;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    std::int64_t tied_ones = 0;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end)
      tied_ones += labels[order[end]];
    const std::int64_t tied_zeros = static_cast<std::int64_t>(end - begin) - tied_ones;
    twice_right += tied_ones * (2 * zeros_below + tied_zeros);
    zeros_below += tied_zeros;
    ones += tied_ones;
    begin = end;
  }
  return static_cast<double>(twice_right) /
         (2.0 * static_cast<double>(ones) * static_cast<double>(zeros_below));
}

}  // namespace safetylock
