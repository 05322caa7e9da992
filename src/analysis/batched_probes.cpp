#include "analysis/batched_probes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace safetylock {
namespace {

/// Heads at a time: bounds memory to some gigabytes for a thousand rows of 128 values.
constexpr std::int64_t kHeads = 512;

/// M problems with the same labels, in the coordinates of ProbeProblem: features centred and scaled so that
/// the curvature is at most about 1, an intercept of its own scale last.
class Problems {
 public:
  Problems(const at::Tensor& rows, const at::Tensor& labels, double C) : labels_(labels.view({1, -1, 1})) {
    const auto n = static_cast<double>(rows.size(0));
    const at::Tensor x = rows.to(at::kDouble).transpose(0, 1);  // [M, N, D]
    mean_ = x.mean(1);
    const at::Tensor centred = x - mean_.unsqueeze(1);
    const at::Tensor scale = at::rsqrt(1.0 / C + 0.25 * at::square(centred).sum(1));
    scale_ = at::constant_pad_nd(scale, {0, 1}, 2.0 / std::sqrt(n));
    x_ = at::constant_pad_nd(centred, {0, 1}, 1.0) * scale_.unsqueeze(1);
    penalty_ = at::constant_pad_nd(at::square(scale) / C, {0, 1}, 0.0);
  }

  at::Tensor zero() const { return at::zeros({x_.size(0), x_.size(2), 1}, x_.options()); }
  at::Tensor margins(const at::Tensor& v) const { return at::bmm(x_, v); }  ///< [M, N, 1]

  /// Sum of log-losses and penalty, for margins [M, N, k] and unknowns [M, D+1, k]: [M, k].
  at::Tensor objective(const at::Tensor& z, const at::Tensor& v) const {
    const at::Tensor losses = at::relu(z) - labels_ * z + at::log1p(at::exp(-z.abs()));
    return losses.sum(1) + 0.5 * (penalty_.unsqueeze(2) * v * v).sum(1);
  }
  at::Tensor gradient(const at::Tensor& z, const at::Tensor& v) const {  ///< [M, D+1, 1]
    return at::bmm(x_.transpose(1, 2), at::sigmoid(z) - labels_) + penalty_.unsqueeze(2) * v;
  }
  /// Largest component of the gradient with respect to (w, b), [M].
  at::Tensor largest_component(const at::Tensor& gradient) const {
    const at::Tensor g = gradient.squeeze(2) / scale_, intercept = g.narrow(1, mean_.size(1), 1);
    return at::max((g.narrow(1, 0, mean_.size(1)) + mean_ * intercept).abs().amax(1),
                   intercept.abs().squeeze(1));
  }
  /// What Newton's method takes away from v.
  at::Tensor step(const at::Tensor& z, const at::Tensor& gradient) const {
    const at::Tensor curvature = at::sigmoid(z) * at::sigmoid(-z);
    at::Tensor hessian = at::bmm(x_.transpose(1, 2), x_ * curvature);
    at::Tensor diagonal = hessian.diagonal(0, 1, 2);
    // Rows that are all told apart leave the intercept without curvature.
    diagonal.add_(penalty_ + kLeastCurvature);
    return at::cholesky_solve(gradient, std::get<0>(at::linalg_cholesky_ex(hessian)));
  }
  /// w and b of v [M, D+1, 1], as [M, D+1].
  at::Tensor weights(const at::Tensor& v) const {
    const at::Tensor scaled = v.squeeze(2) * scale_, w = scaled.narrow(1, 0, mean_.size(1));
    return at::cat({w, scaled.narrow(1, mean_.size(1), 1) - (w * mean_).sum(1, true)}, 1);
  }

 private:
  static constexpr double kLeastCurvature = 1e-14;
  at::Tensor labels_;   // [1, N, 1]
  at::Tensor mean_;     // [M, D]
  at::Tensor scale_;    // [M, D+1]
  at::Tensor x_;        // [M, N, D+1]
  at::Tensor penalty_;  // [M, D+1]
};

/// The probes of a few heads, into `probes`.
void train_some(const at::Tensor& rows, const at::Tensor& labels, const ProbeOptions& options,
                Probe* probes) {
  const Problems problems(rows, labels, options.C);
  const at::Tensor lengths = at::pow(0.5, at::arange(12, labels.options()));  // of steps: 1, 1/2 ..
  const double tolerance = options.gradient_tolerance * static_cast<double>(rows.size(0));
  at::Tensor v = problems.zero(), z = problems.margins(v);
  at::Tensor iterations = at::zeros({rows.size(1)}, labels.options().dtype(at::kLong));
  for (std::int64_t i = 0; i < options.max_iterations; ++i) {
    const at::Tensor gradient = problems.gradient(z, v);
    const at::Tensor open = problems.largest_component(gradient) > tolerance;
    if (!open.any().item<bool>()) break;
    const at::Tensor step = problems.step(z, gradient), change = problems.margins(step);
    // The longest step that lowers the objective as it should (Armijo); the margins along it are known.
    const at::Tensor tried = problems.objective(z - lengths * change, v - lengths * step);
    const at::Tensor slope = (gradient * step).sum(1);  // [M, 1], positive
    const at::Tensor enough = tried <= problems.objective(z, v) - 1e-4 * lengths * slope;
    // None where rounding hides any decrease: that head is done.
    const at::Tensor length = (lengths * enough).amax(1).view({-1, 1, 1}) * open.view({-1, 1, 1});
    if ((length == 0).all().item<bool>()) break;
    v = v - length * step;
    z = z - length * change;
    iterations += length.view({-1}) > 0;
  }
  const at::Tensor solution = problems.weights(v).cpu(),
                   objective = problems.objective(z, v).squeeze(1).cpu(), steps = iterations.cpu();
  const std::int64_t D = rows.size(2);
  for (std::int64_t h = 0; h < rows.size(1); ++h) {
    const double* values = solution.const_data_ptr<double>() + h * (D + 1);
    probes[h] = {.weights = {values, values + D},
                 .intercept = values[D],
                 .objective = objective.const_data_ptr<double>()[h],
                 .iterations = steps.const_data_ptr<std::int64_t>()[h]};
  }
}

}  // namespace

std::vector<Probe> train_probes_together(const at::Tensor& rows, const at::Tensor& labels,
                                         const ProbeOptions& options) {
  std::vector<Probe> probes(static_cast<size_t>(rows.size(1)));
  for (std::int64_t head = 0; head < rows.size(1); head += kHeads) {
    const std::int64_t count = std::min(kHeads, rows.size(1) - head);
    train_some(rows.narrow(1, head, count), labels, options, probes.data() + head);
  }
  return probes;
}

}  // namespace safetylock
