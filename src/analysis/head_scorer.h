// One head under given labels and splits: a probe a split, trained on one side and judged on both.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "analysis/head_rows.h"
#include "analysis/splits.h"
#include "safetylock/probes.h"

namespace safetylock {

/// Right answers and rows by question, over all splits.
struct Tally {
  explicit Tally(std::int64_t questions = 0) : right(static_cast<size_t>(questions)), rows(right.size()) {}
  std::vector<double> right;
  std::vector<double> rows;

  /// Share of right answers when question q is drawn times[q] times; not a number when no drawn one has rows.
  double share(std::span<const std::uint32_t> times) const;
};

struct JudgedHead {
  HeadScore score;  ///< without id and interval
  Tally train, validation;
};

/// Const access from any thread. The arguments must outlive it.
class HeadScorer {
 public:
  HeadScorer(std::span<const std::int64_t> labels, const Questions& questions, std::span<const Split> splits,
             const RankOptions& options);

  /// `rows`: all rows of the head, [N, dim], of which the splits name those that count.
  JudgedHead judge(const std::vector<double>& rows, std::int64_t dim) const;

 private:
  std::vector<double> judge_side(const Probe& probe, const RowView& rows,
                                 const std::vector<std::int64_t>& labels, Tally& tally,
                                 double& accuracy) const;

  const Questions& questions_;
  std::span<const Split> splits_;
  const RankOptions& options_;
  std::vector<std::vector<std::int64_t>> train_labels_;       // a split each
  std::vector<std::vector<std::int64_t>> validation_labels_;  // a split each
};

/// Calls visit(head, its rows [N, dim], dim) once for each head, heads side by side. The caller hears of the
/// progress, and may stop, between batches of heads. Throws num.nonfinite, run.interrupted.
void for_each_head(
    const HeadValues& values, const char* stage, const ProgressCallback& on_progress,
    const std::function<void(std::int64_t head, const std::vector<double>& rows, std::int64_t dim)>& visit);

/// What a ranking is made from, checked.
struct RankingInput {
  /// Throws arg.shape, arg.dtype, arg.range, data.single_class; `function` names the caller in the error.
  RankingInput(const at::Tensor& values, const at::Tensor& labels, const at::Tensor& groups,
               const char* function);

  HeadValues heads;
  std::int64_t heads_per_layer;
  std::vector<std::int64_t> labels;
  Questions questions;
};

}  // namespace safetylock
