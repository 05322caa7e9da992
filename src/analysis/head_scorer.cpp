#include "analysis/head_scorer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "analysis/probe_solver.h"
#include "analysis/statistics.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

void report(const char* stage, const ProgressCallback& on_progress, std::int64_t done, std::int64_t total) {
  if (!on_progress || on_progress({stage, done, total, "heads"})) return;
  throw Error({"run.interrupted", "", stage, "",
               std::to_string(done) + " of " + std::to_string(total) + " heads finished", ""});
}

const at::Tensor& four_dimensional(const at::Tensor& values, const char* function) {
  if (values.dim() == 4) return values;
  throw Error({"arg.shape", "", std::string(function) + ": values", "[N, L, H, D]",
               std::to_string(values.dim()) + " dimensions", ""});
}

}  // namespace

double Tally::share(std::span<const std::uint32_t> times) const {
  double a = 0, b = 0;
  for (size_t q = 0; q < right.size(); ++q) {
    a += times[q] * right[q];
    b += times[q] * rows[q];
  }
  return a / b;
}

HeadScorer::HeadScorer(std::span<const std::int64_t> labels, const Questions& questions,
                       std::span<const Split> splits, const RankOptions& options)
    : questions_(questions), splits_(splits), options_(options) {
  for (const Split& split : splits) {
    train_labels_.push_back(labels_at(labels, split.train));
    validation_labels_.push_back(labels_at(labels, split.validation));
  }
}

JudgedHead HeadScorer::judge(const std::vector<double>& rows, std::int64_t dim) const {
  JudgedHead head{.score = {}, .train = Tally(questions_.count), .validation = Tally(questions_.count)};
  HeadScore& score = head.score;
  const auto repeats = static_cast<double>(splits_.size());
  for (size_t s = 0; s < splits_.size(); ++s) {
    const RowView train{rows.data(), splits_[s].train, dim};
    const RowView validation{rows.data(), splits_[s].validation, dim};
    const Probe probe = fit_probe(train, train_labels_[s], options_.probe);
    const std::vector<double> margins =
        judge_side(probe, validation, validation_labels_[s], head.validation, score.accuracy);
    score.auc += area_under_roc(margins, validation_labels_[s]) / repeats;
    judge_side(probe, train, train_labels_[s], head.train, score.train_accuracy);
  }
  score.accuracy /= repeats;
  score.train_accuracy /= repeats;
  if (options_.protocol == "paper") score.accuracy = 0.5 * (score.train_accuracy + score.accuracy);
  return head;
}

// Adds the rows' verdicts to `tally` and their accuracy to `accuracy`; returns the margins.
std::vector<double> HeadScorer::judge_side(const Probe& probe, const RowView& rows,
                                           const std::vector<std::int64_t>& labels, Tally& tally,
                                           double& accuracy) const {
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

void for_each_head(
    const HeadValues& values, const char* stage, const ProgressCallback& on_progress,
    const std::function<void(std::int64_t head, const std::vector<double>& rows, std::int64_t dim)>& visit) {
  const std::int64_t batch = 8 * at::get_num_threads();
  const std::int64_t dim = padded_row_length(values.dim());
  for (std::int64_t first = 0; first < values.heads(); first += batch) {
    report(stage, on_progress, first, values.heads());
    const std::int64_t last = std::min(first + batch, values.heads());
    at::parallel_for(first, last, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> rows;
      for (std::int64_t head = begin; head < end; ++head) {
        values.gather(head, rows);
        visit(head, rows, dim);
      }
    });
  }
  report(stage, on_progress, values.heads(), values.heads());
}

RankingInput::RankingInput(const at::Tensor& values, const at::Tensor& label_tensor, const at::Tensor& groups,
                           const char* function)
    : heads(four_dimensional(values, function), function),
      heads_per_layer(values.size(2)),
      labels(checked_labels(label_tensor, heads.rows(), function)),
      questions(number_questions(checked_integers(groups, heads.rows(), function, "groups"))) {}

}  // namespace safetylock
