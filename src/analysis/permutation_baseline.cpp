#include <algorithm>

#include "analysis/label_swaps.h"
#include "analysis/ranking.h"
#include "analysis/statistics.h"
#include "analysis/trials.h"
#include "safetylock/error.h"
#include "safetylock/ranking_evidence.h"

namespace safetylock {
namespace {

// Keeps the coins apart from the random numbers of splits and bootstrap.
constexpr std::uint64_t kSwapStream = 0xD1B54A32D192ED03;
// Means over repeats that differ only by rounding are equal.
constexpr double kRounding = 1e-12;

}  // namespace

double PermutationBaseline::p_value(double accuracy) const {
  const auto as_good = std::count_if(top_accuracy.begin(), top_accuracy.end(),
                                     [&](double top) { return top >= accuracy - kRounding; });
  return (1.0 + static_cast<double>(as_good)) / (1.0 + static_cast<double>(top_accuracy.size()));
}

PermutationBaseline permutation_baseline(const at::Tensor& values, const at::Tensor& labels,
                                         const at::Tensor& groups, const RankOptions& options,
                                         std::int64_t rounds) {
  check_probe_options(options.probe);
  if (rounds < 1) {
    throw Error({"arg.range", "", "permutation_baseline: rounds", "at least 1", std::to_string(rounds), ""});
  }
  const RankingInput input(values, labels, groups, "permutation_baseline");
  const std::vector<Split> splits = make_splits(input.questions, input.labels, options);
  LabelSwaps swaps(input.questions, input.labels, splits, options.seed ^ kSwapStream);
  std::vector<Trial> trials;
  for (std::int64_t r = 0; r < rounds; ++r) trials.push_back({.labels = swaps.next(), .splits = splits});

  PermutationBaseline baseline{.rounds = rounds, .top_accuracy = {}, .mean_accuracy = {}};
  for (const std::vector<HeadScore>& scores : score_trials(input, trials, options, "permuting labels")) {
    double best = 0, sum = 0;
    for (const HeadScore& score : scores) {
      best = std::max(best, score.accuracy);
      sum += score.accuracy;
    }
    baseline.top_accuracy.push_back(best);
    baseline.mean_accuracy.push_back(sum / static_cast<double>(scores.size()));
  }
  std::vector<double> sorted = baseline.top_accuracy;
  std::sort(sorted.begin(), sorted.end());
  baseline.top_quantile_95 = percentile(sorted, 0.95);
  return baseline;
}

}  // namespace safetylock
