#include "analysis/inverse_hessian.h"

#include <cmath>
#include <utility>

namespace safetylock {

double inner(const std::vector<double>& a, const std::vector<double>& b) {
  return dot_product(a.data(), b.data(), static_cast<std::int64_t>(a.size()));
}

void add_scaled(std::vector<double>& a, double s, const std::vector<double>& b) {
  for (size_t j = 0; j < a.size(); ++j) a[j] += s * b[j];
}

void Cholesky::factor(std::vector<double> a, size_t n) {
  n_ = 0;
  for (size_t i = 0; i < n; ++i) {
    double* row = &a[i * n];
    for (size_t j = 0; j < i; ++j) {
      row[j] = (row[j] - dot_product(row, &a[j * n], static_cast<std::int64_t>(j))) / a[j * n + j];
    }
    const double pivot = row[i] - dot_product(row, row, static_cast<std::int64_t>(i));
    if (!(pivot > 0)) return;
    row[i] = std::sqrt(pivot);
  }
  lower_ = std::move(a);
  n_ = n;
}

void Cholesky::solve(std::vector<double>& b) const {
  for (size_t i = 0; i < n_; ++i) {
    const double* row = &lower_[i * n_];
    b[i] = (b[i] - dot_product(row, b.data(), static_cast<std::int64_t>(i))) / row[i];
  }
  for (size_t i = n_; i-- > 0;) {
    const double* row = &lower_[i * n_];
    b[i] /= row[i];
    for (size_t j = 0; j < i; ++j) b[j] -= b[i] * row[j];
  }
}

void InverseHessian::refresh(const ProbeProblem& problem, const std::vector<double>& margins) {
  factor_.factor(problem.hessian(margins), problem.size());
  pairs_.clear();
}

void InverseHessian::update(std::vector<double> step, std::vector<double> change) {
  const double curvature = inner(step, change);
  if (!(curvature > 0)) return;
  if (pairs_.size() == kPairs) pairs_.pop_front();
  pairs_.push_back({std::move(step), std::move(change), 1.0 / curvature});
}

std::vector<double> InverseHessian::descent(const std::vector<double>& gradient) const {
  std::vector<double> d = gradient;
  std::vector<double> alpha(pairs_.size());
  for (size_t k = pairs_.size(); k-- > 0;) {
    alpha[k] = pairs_[k].inverse_curvature * inner(pairs_[k].step, d);
    add_scaled(d, -alpha[k], pairs_[k].change);
  }
  if (factor_.ready()) {
    factor_.solve(d);
  } else if (!pairs_.empty()) {
    const Pair& last = pairs_.back();
    const double scale = 1.0 / (last.inverse_curvature * inner(last.change, last.change));
    for (double& x : d) x *= scale;
  }
  for (size_t k = 0; k < pairs_.size(); ++k) {
    add_scaled(d, alpha[k] - pairs_[k].inverse_curvature * inner(pairs_[k].change, d), pairs_[k].step);
  }
  for (double& x : d) x = -x;
  return d;
}

}  // namespace safetylock
