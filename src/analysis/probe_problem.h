// The objective of one probe, in coordinates in which it is well scaled.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analysis/row_kernels.h"
#include "safetylock/probes.h"

namespace safetylock {

/// f(w, b) = sum_i log(1 + exp(-s_i (w . x_i + b))) + |w|^2 / (2 C) with s_i = +1 for label 1, -1 for label
/// 0.
///
/// With m_j the mean of feature j, the unknowns are v_j = w_j / scale_j and c = (b + w . m) / scale_b, where
/// the scales make the curvature at most about 1: features of very different size, or far from zero, then
/// look alike to a solver. The optimum stays where it is, since the intercept is not penalised.
class ProbeProblem {
 public:
  /// `labels` holds 0 or 1 for each of `rows`; both must outlive this. C > 0.
  ProbeProblem(const RowView& rows, std::span<const std::int64_t> labels, double C);

  size_t size() const noexcept { return scale_.size(); }  ///< padded D + 1: the intercept comes last
  size_t rows() const noexcept { return labels_.size(); }

  /// Margins [n] and gradient [size()] at `v`, in one pass over the rows.
  void evaluate(const std::vector<double>& v, std::vector<double>& margins, std::vector<double>& gradient);
  /// Hessian at the point with these margins: [size(), size()] row-major, of which the lower triangle counts.
  std::vector<double> hessian(const std::vector<double>& margins) const;

  /// Derivatives at t of the objective along v + t d, whose margins are z + t u.
  struct Slopes {
    double first = 0;
    double second = 0;
  };
  Slopes along(const std::vector<double>& v, const std::vector<double>& d, const std::vector<double>& z,
               const std::vector<double>& u, double t) const;

  double objective(const std::vector<double>& v, const std::vector<double>& margins) const;
  /// Largest component of the gradient with respect to (w, b).
  double largest_component(const std::vector<double>& gradient) const;
  /// Upper bound of objective - minimum, from the curvature 1 / C of the penalty (and the intercept's own
  /// curvature).
  double suboptimality_bound(const std::vector<double>& gradient, const std::vector<double>& margins) const;
  Probe probe_at(const std::vector<double>& v, const std::vector<double>& margins) const;

 private:
  double to_weights(const std::vector<double>& v, std::vector<double>& w) const;  ///< returns b

  RowView rows_;
  std::span<const std::int64_t> labels_;
  double inverse_C_;
  std::vector<double> mean_;   // [D]
  std::vector<double> scale_;  // [D + 1]
  std::vector<double> w_;      // [D], scratch
};

}  // namespace safetylock
