#include "analysis/ranking.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "analysis/probe_solver.h"
#include "analysis/statistics.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr size_t kResamples = 1000;
// Keeps the bootstrap's random numbers apart from those of the splits.
constexpr std::uint64_t kBootstrapStream = 0x9E3779B97F4A7C15;

// Right answers and rows by question, over all splits.
struct Tally {
  explicit Tally(std::int64_t questions) : right(static_cast<size_t>(questions)), rows(right.size()) {}
  std::vector<double> right;
  std::vector<double> rows;

  // Not a number when no question that has rows was drawn.
  double share(std::span<const std::uint32_t> times) const {
    double a = 0, b = 0;
    for (size_t q = 0; q < right.size(); ++q) {
      a += times[q] * right[q];
      b += times[q] * rows[q];
    }
    return a / b;
  }
};

class HeadScorer {
 public:
  HeadScorer(std::span<const std::int64_t> labels, const Questions& questions, std::span<const Split> splits,
             const RankOptions& options)
      : labels_(labels),
        questions_(questions),
        splits_(splits),
        options_(options),
        paper_(options.protocol == "paper"),
        resamples_(static_cast<size_t>(questions.count), kResamples, options.seed ^ kBootstrapStream) {
    for (const Split& split : splits) {
      train_labels_.push_back(pick(split.train));
      validation_labels_.push_back(pick(split.validation));
    }
  }

  /// `rows`: all rows of the head, [N, dim].
  HeadScore score(const std::vector<double>& rows, std::int64_t dim) const {
    HeadScore result;
    Tally train(questions_.count), validation(questions_.count);
    const auto repeats = static_cast<double>(splits_.size());
    double validation_accuracy = 0;
    for (size_t s = 0; s < splits_.size(); ++s) {
      const RowView train_rows{rows.data(), splits_[s].train, dim};
      const RowView validation_rows{rows.data(), splits_[s].validation, dim};
      const Probe probe = fit_probe(train_rows, train_labels_[s], options_.probe);
      const std::vector<double> margins =
          judge(probe, validation_rows, validation_labels_[s], validation, validation_accuracy);
      result.auc += area_under_roc(margins, validation_labels_[s]) / repeats;
      judge(probe, train_rows, train_labels_[s], train, result.train_accuracy);
    }
    validation_accuracy /= repeats;
    result.train_accuracy /= repeats;
    result.accuracy = paper_ ? 0.5 * (result.train_accuracy + validation_accuracy) : validation_accuracy;
    const Interval interval = bootstrap(train, validation);
    result.ci_low = interval.low;
    result.ci_high = interval.high;
    return result;
  }

 private:
  std::vector<std::int64_t> pick(const std::vector<std::int64_t>& rows) const {
    std::vector<std::int64_t> out;
    for (const std::int64_t row : rows) out.push_back(labels_[static_cast<size_t>(row)]);
    return out;
  }

  // Adds the rows' verdicts to `tally` and their accuracy to `accuracy`; returns the margins.
  std::vector<double> judge(const Probe& probe, const RowView& rows, const std::vector<std::int64_t>& labels,
                            Tally& tally, double& accuracy) const {
    std::vector<double> margins(labels.size());
    multiply_rows(rows, probe.weights.data(), probe.intercept, margins.data());
    std::int64_t right = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
      const bool is_right = (margins[i] > 0) == (labels[i] == 1);
      const auto question = static_cast<size_t>(questions_.of_row[static_cast<size_t>(rows.index[i])]);
      tally.right[question] += is_right;
      tally.rows[question] += 1;
      right += is_right;
    }
    accuracy += static_cast<double>(right) / static_cast<double>(labels.size());
    return margins;
  }

  Interval bootstrap(const Tally& train, const Tally& validation) const {
    std::vector<double> statistics;
    for (size_t b = 0; b < resamples_.count(); ++b) {
      const std::span<const std::uint32_t> times = resamples_.multiplicities(b);
      const double share = validation.share(times);
      const double statistic = paper_ ? 0.5 * (train.share(times) + share) : share;
      if (!std::isnan(statistic)) statistics.push_back(statistic);
    }
    return central_interval(statistics);
  }

  std::span<const std::int64_t> labels_;
  const Questions& questions_;
  std::span<const Split> splits_;
  const RankOptions& options_;
  bool paper_;
  BootstrapResamples resamples_;
  std::vector<std::vector<std::int64_t>> train_labels_;
  std::vector<std::vector<std::int64_t>> validation_labels_;
};

bool varies(const std::vector<double>& rows, std::int64_t dim) {
  const auto width = static_cast<size_t>(dim);
  for (size_t i = width; i < rows.size(); ++i) {
    if (rows[i] != rows[i - width]) return true;
  }
  return false;
}

void report(const RankOptions& options, std::int64_t done, std::int64_t total) {
  if (!options.on_progress || options.on_progress({"ranking heads", done, total, "heads"})) return;
  throw Error({"run.interrupted", "", "rank_heads", "", "a stop asked for by the caller", ""});
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
  std::vector<HeadScore> scores(static_cast<size_t>(values.heads()));
  std::vector<char> head_varies(scores.size(), 0);
  // One head per task; the caller hears of it, and may stop, between batches.
  const std::int64_t batch = 8 * at::get_num_threads();
  for (std::int64_t first = 0; first < values.heads(); first += batch) {
    report(options, first, values.heads());
    const std::int64_t last = std::min(first + batch, values.heads());
    at::parallel_for(first, last, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> rows;
      const std::int64_t dim = padded_row_length(values.dim());
      for (std::int64_t head = begin; head < end; ++head) {
        values.gather(head, rows);
        const auto at = static_cast<size_t>(head);
        head_varies[at] = varies(rows, dim);
        scores[at] = scorer.score(rows, dim);
        scores[at].id = {head / heads_per_layer, head % heads_per_layer};
      }
    });
  }
  report(options, values.heads(), values.heads());
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
  if (values.dim() != 4) {
    throw Error({"arg.shape", "", "rank_heads: values", "[N, L, H, D]",
                 std::to_string(values.dim()) + " dimensions", ""});
  }
  const HeadValues heads(values, "rank_heads");
  const std::vector<std::int64_t> classes = checked_labels(labels, heads.rows(), "rank_heads");
  const Questions questions =
      number_questions(checked_integers(groups, heads.rows(), "rank_heads", "groups"));
  const std::vector<Split> splits = make_splits(questions, classes, options);
  std::vector<HeadScore> scores = score_heads(heads, values.size(2), classes, questions, splits, options);
  sort_best_first(scores);
  return scores;
}

}  // namespace safetylock
