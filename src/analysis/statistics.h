// Intervals and rank statistics on plain doubles.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace safetylock {

struct Interval {
  double low = 0;
  double high = 0;
};

/// 95 % Wilson score interval of a share (Wilson 1927). 0 <= successes <= n; [0, 1] when n is 0.
Interval wilson_interval(std::int64_t successes, std::int64_t n);

/// Linear interpolation between order statistics, as numpy's default. `sorted` is ascending and not empty, 0
/// <= q <= 1.
double percentile(std::span<const double> sorted, double q);

/// How often each of `units` is drawn in each of `count` bootstrap resamples; the same for the same seed.
class BootstrapResamples {
 public:
  BootstrapResamples(size_t units, size_t count, std::uint64_t seed);
  size_t count() const noexcept { return count_; }
  std::span<const std::uint32_t> multiplicities(size_t resample) const noexcept {
    return std::span(multiplicities_).subspan(resample * units_, units_);
  }

 private:
  size_t units_;
  size_t count_;
  std::vector<std::uint32_t> multiplicities_;  // [count, units]
};

/// Percentiles 2.5 and 97.5. Sorts its argument, which must not be empty.
Interval central_interval(std::vector<double>& statistics);

/// 95 % percentile bootstrap interval of a mean (Efron 1979). `values` must not be empty.
Interval bootstrap_mean_interval(std::span<const double> values, std::uint64_t seed, size_t resamples = 2000);

/// 95 % percentile bootstrap interval of sum(numerators) / sum(denominators), drawn together. Equal sizes,
/// not empty, denominators above 0.
Interval bootstrap_ratio_interval(std::span<const double> numerators, std::span<const double> denominators,
                                  std::uint64_t seed, size_t resamples = 2000);

/// Two-sided p of McNemar's exact test: how likely a fair coin thrown b + c times is at least as lopsided as
/// b against c. 1 when both are 0.
double mcnemar_exact(std::int64_t b, std::int64_t c);

/// Area under the ROC curve: the chance that a row of label 1 scores above one of label 0, ties counting
/// half. `labels` holds 0 or 1; both must occur.
double area_under_roc(std::span<const double> scores, std::span<const std::int64_t> labels);

}  // namespace safetylock
