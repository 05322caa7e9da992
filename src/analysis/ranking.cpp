#include "analysis/ranking.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "analysis/head_scorer.h"
#include "analysis/statistics.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr size_t kResamples = 1000;
// Keeps the bootstrap's random numbers apart from those of the splits.
constexpr std::uint64_t kBootstrapStream = 0x9E3779B97F4A7C15;

bool varies(const std::vector<double>& rows, std::int64_t dim) {
  const auto width = static_cast<size_t>(dim);
  for (size_t i = width; i < rows.size(); ++i) {
    if (rows[i] != rows[i - width]) return true;
  }
  return false;
}

// The interval of a head's accuracy when other questions had been asked.
Interval bootstrap(const JudgedHead& head, const BootstrapResamples& resamples, bool paper) {
  std::vector<double> statistics;
  for (size_t b = 0; b < resamples.count(); ++b) {
    const std::span<const std::uint32_t> times = resamples.multiplicities(b);
    const double share = head.validation.share(times);
    const double statistic = paper ? 0.5 * (head.train.share(times) + share) : share;
    if (!std::isnan(statistic)) statistics.push_back(statistic);
  }
  return central_interval(statistics);
}

}  // namespace

void check_probe_options(const ProbeOptions& options) {
  if (!(options.C > 0) || std::isinf(options.C)) {
    throw Error(
        {"arg.range", "", "ProbeOptions: C", "a finite number above 0", std::to_string(options.C), ""});
  }
  if (!(options.gradient_tolerance > 0)) {
    throw Error({"arg.range", "", "ProbeOptions: gradient_tolerance", "above 0",
                 std::to_string(options.gradient_tolerance), ""});
  }
  if (options.max_iterations < 1) {
    throw Error({"arg.range", "", "ProbeOptions: max_iterations", "at least 1",
                 std::to_string(options.max_iterations), ""});
  }
}

std::vector<HeadScore> score_heads(const HeadValues& values, std::int64_t heads_per_layer,
                                   std::span<const std::int64_t> labels, const Questions& questions,
                                   std::span<const Split> splits, const RankOptions& options) {
  const HeadScorer scorer(labels, questions, splits, options);
  const BootstrapResamples resamples(static_cast<size_t>(questions.count), kResamples,
                                     options.seed ^ kBootstrapStream);
  std::vector<HeadScore> scores(static_cast<size_t>(values.heads()));
  std::vector<char> head_varies(scores.size(), 0);
  for_each_head(values, "ranking heads", options.on_progress,
                [&](std::int64_t head, const std::vector<double>& rows, std::int64_t dim) {
                  const auto at = static_cast<size_t>(head);
                  head_varies[at] = varies(rows, dim);
                  const JudgedHead judged = scorer.judge(rows, dim);
                  const Interval interval = bootstrap(judged, resamples, options.protocol == "paper");
                  scores[at] = judged.score;
                  scores[at].id = {head / heads_per_layer, head % heads_per_layer};
                  scores[at].ci_low = interval.low;
                  scores[at].ci_high = interval.high;
                });
  if (std::find(head_varies.begin(), head_varies.end(), 1) == head_varies.end()) {
    throw Error({"probe.degenerate", "", "rank_heads: values", "head outputs that differ between rows",
                 "the same output in every row, for every head", ""});
  }
  return scores;
}

void sort_best_first(std::vector<HeadScore>& scores) {
  // Means over repeats that differ only by rounding are ties.
  const auto key = [](const HeadScore& s) {
    return std::make_tuple(-std::llround(s.accuracy * 1e12), -std::llround(s.auc * 1e12), s.id);
  };
  std::sort(scores.begin(), scores.end(),
            [&](const HeadScore& a, const HeadScore& b) { return key(a) < key(b); });
}

std::vector<HeadScore> rank_heads(const at::Tensor& values, const at::Tensor& labels,
                                  const at::Tensor& groups, const RankOptions& options) {
  check_probe_options(options.probe);
  const RankingInput input(values, labels, groups, "rank_heads");
  const std::vector<Split> splits = make_splits(input.questions, input.labels, options);
  std::vector<HeadScore> scores =
      score_heads(input.heads, input.heads_per_layer, input.labels, input.questions, splits, options);
  sort_best_first(scores);
  return scores;
}

}  // namespace safetylock
