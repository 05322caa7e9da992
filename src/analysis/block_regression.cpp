#include "analysis/block_regression.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "analysis/probe_solver.h"
#include "analysis/row_kernels.h"

namespace safetylock {
namespace {

/// Directions in which the rows vary less than this share of the most are rounding.
constexpr double kSmallestShare = 1e-12;
/// So do squares of a block below this share of its mean's.
constexpr double kRounding = 1e-24;

at::Tensor as_tensor(std::vector<double>& values, std::int64_t rows, std::int64_t columns) {
  return at::from_blob(values.data(), {rows, columns}, at::kDouble);
}

}  // namespace

BlockRegression::BlockRegression(const HeadValues& values, std::span<const std::int64_t> labels,
                                 std::vector<std::int64_t> train, std::vector<std::int64_t> judged)
    : values_(values), labels_(labels), train_(std::move(train)), judged_(std::move(judged)) {
  const auto rows = static_cast<std::int64_t>(train_.size() + judged_.size());
  gram_ = at::zeros({rows, static_cast<std::int64_t>(train_.size())}, at::kDouble);
}

BlockRegression::Scaled BlockRegression::scaled(std::int64_t block) const {
  Scaled s;
  values_.gather(block, s.rows);
  const auto width = static_cast<size_t>(padded_row_length(values_.dim()));
  const auto n = static_cast<double>(train_.size());
  s.mean.resize(width);
  const RowView rows{s.rows.data(), train_, static_cast<std::int64_t>(width)};
  accumulate_rows(rows, std::vector<double>(train_.size(), 1 / n).data(), s.mean.data());
  std::vector<double> squares(width);
  accumulate_squares(rows, s.mean.data(), squares.data());
  double sum = 0;
  for (const double square : squares) sum += square;
  double size = 0;
  for (const double m : s.mean) size += m * m;
  const bool varies = sum / n > kRounding * size;
  s.inverse = varies ? 1 / std::sqrt(sum / n) : 0;
  return s;
}

at::Tensor BlockRegression::kernel(std::int64_t block) const {
  Scaled s = scaled(block);
  const auto width = static_cast<std::int64_t>(s.mean.size());
  const at::Tensor rows =
      (as_tensor(s.rows, values_.rows(), width) - as_tensor(s.mean, 1, width)).mul_(s.inverse);
  std::vector<std::int64_t> all = train_;
  all.insert(all.end(), judged_.begin(), judged_.end());
  const at::Tensor chosen = rows.index_select(0, at::tensor(all, at::kLong));
  return chosen.mm(chosen.narrow(0, 0, static_cast<std::int64_t>(train_.size())).t());
}

void BlockRegression::add(std::int64_t block, const at::Tensor& kernel) {
  gram_.add_(kernel);
  blocks_.push_back(block);
}

void BlockRegression::add(std::int64_t block) {
  add(block, kernel(block));
}

std::vector<BlockRegression::Solution> BlockRegression::solve(std::span<const double> Cs) const {
  const auto n = static_cast<std::int64_t>(train_.size());
  const at::Tensor gram = gram_ / static_cast<double>(blocks_.size());
  const auto [squares, vectors] = at::linalg_eigh(gram.narrow(0, 0, n));
  const double most = squares[n - 1].item<double>();
  if (!(most > 0)) {  // nothing varies, and nothing can be told
    return std::vector<Solution>(Cs.size(), {.margins = std::vector<double>(judged_.size()),
                                             .duals = std::vector<double>(train_.size())});
  }
  const std::int64_t first = squares.lt(kSmallestShare * most).sum().item<std::int64_t>();
  // The rows in as many coordinates as they need: G = U S U^T, rows U sqrt(S).
  const std::int64_t rank = n - first, width = padded_row_length(rank);
  const at::Tensor roots = squares.narrow(0, first, rank).sqrt();
  const at::Tensor basis = vectors.narrow(1, first, rank);
  const at::Tensor rows = at::zeros({n, width}, at::kDouble);
  rows.narrow(1, 0, rank).copy_(basis * roots);
  const std::vector<std::int64_t> labels = labels_at(labels_, train_);
  const std::vector<std::int64_t> index = all_rows(n);

  std::vector<Solution> solutions(Cs.size());
  at::parallel_for(0, static_cast<std::int64_t>(Cs.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      Probe probe =
          fit_probe({rows.const_data_ptr<double>(), index, width}, labels, {.C = Cs[static_cast<size_t>(c)]});
      // Weights are U sqrt(S) ^T times the duals.
      const at::Tensor duals =
          basis.mv(as_tensor(probe.weights, 1, width).narrow(1, 0, rank).squeeze(0) / roots);
      const at::Tensor margins = gram.narrow(0, n, gram.size(0) - n).mv(duals) + probe.intercept;
      Solution& solution = solutions[static_cast<size_t>(c)];
      solution.intercept = probe.intercept;
      solution.duals.assign(duals.const_data_ptr<double>(), duals.const_data_ptr<double>() + n);
      solution.margins.assign(margins.const_data_ptr<double>(),
                              margins.const_data_ptr<double>() + margins.numel());
    }
  });
  return solutions;
}

BlockWeights BlockRegression::weights(const Solution& solution) const {
  BlockWeights out{.weights = {}, .intercept = solution.intercept};
  const auto dim = static_cast<size_t>(values_.dim());
  for (const std::int64_t block : blocks_) {
    const Scaled s = scaled(block);
    // margin = duals . (train rows - mean) . (x - mean) * inverse^2 / K; the duals need not sum to 0.
    const double factor = s.inverse * s.inverse / static_cast<double>(blocks_.size());
    std::vector<double> w(s.mean.size());
    double sum = 0;
    for (const double dual : solution.duals) sum += dual;
    accumulate_rows({s.rows.data(), train_, static_cast<std::int64_t>(w.size())}, solution.duals.data(),
                    w.data());
    for (size_t j = 0; j < w.size(); ++j) {
      w[j] = factor * (w[j] - sum * s.mean[j]);
      out.intercept -= w[j] * s.mean[j];
    }
    w.resize(dim);
    out.weights.push_back(std::move(w));
  }
  return out;
}

}  // namespace safetylock
