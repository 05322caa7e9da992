#include "analysis/probe_problem.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace safetylock {
namespace {

/// The smaller of p and 1 - p for each margin, so that no rounding next to 1 gets into p (1 - p).
std::vector<double> smaller_probabilities(const std::vector<double>& margins) {
  std::vector<double> p(margins.size());
  for (size_t i = 0; i < p.size(); ++i) p[i] = -std::abs(margins[i]);
  sigmoids(p.data(), static_cast<std::int64_t>(p.size()), p.data());
  return p;
}

}  // namespace

ProbeProblem::ProbeProblem(const RowView& rows, std::span<const std::int64_t> labels, double C)
    : rows_(rows),
      labels_(labels),
      inverse_C_(1.0 / C),
      mean_(static_cast<size_t>(rows.dim)),
      scale_(mean_.size() + 1),
      w_(mean_.size()) {
  const double n = static_cast<double>(rows.count());
  const std::vector<double> ones(labels.size(), 1.0);
  accumulate_rows(rows, ones.data(), mean_.data());
  for (double& m : mean_) m /= n;
  accumulate_squares(rows, mean_.data(), scale_.data());
  // p (1 - p) <= 1/4 bounds the curvature of the log-losses.
  for (size_t j = 0; j < mean_.size(); ++j) scale_[j] = 1.0 / std::sqrt(inverse_C_ + 0.25 * scale_[j]);
  scale_.back() = 1.0 / std::sqrt(0.25 * n);
}

double ProbeProblem::to_weights(const std::vector<double>& v, std::vector<double>& w) const {
  for (size_t j = 0; j < w.size(); ++j) w[j] = v[j] * scale_[j];
  return v.back() * scale_.back() - dot_product(w.data(), mean_.data(), rows_.dim);
}

void ProbeProblem::evaluate(const std::vector<double>& v, std::vector<double>& margins,
                            std::vector<double>& gradient) {
  constexpr std::int64_t kBlock = 16;  // rows that stay in the first-level cache between their two uses
  const double intercept = to_weights(v, w_);
  std::fill(gradient.begin(), gradient.end(), 0.0);
  double residuals[kBlock];
  double sum = 0;
  for (std::int64_t i = 0; i < rows_.count(); i += kBlock) {
    const RowView block = rows_.slice(i, std::min(kBlock, rows_.count() - i));
    double* z = margins.data() + i;
    multiply_rows(block, w_.data(), intercept, z);
    sigmoids(z, block.count(), residuals);
    for (std::int64_t k = 0; k < block.count(); ++k) {
      residuals[k] -= static_cast<double>(labels_[static_cast<size_t>(i + k)]);
      sum += residuals[k];
    }
    accumulate_rows(block, residuals, gradient.data());
  }
  for (size_t j = 0; j < w_.size(); ++j)
    gradient[j] = (gradient[j] - mean_[j] * sum + inverse_C_ * w_[j]) * scale_[j];
  gradient.back() = sum * scale_.back();
}

std::vector<double> ProbeProblem::hessian(const std::vector<double>& margins) const {
  const size_t dim = mean_.size();
  std::vector<double> curvature = smaller_probabilities(margins);
  double total = 0;
  for (double& p : curvature) {
    p *= 1.0 - p;
    total += p;
  }
  std::vector<double> first(dim);
  accumulate_rows(rows_, curvature.data(), first.data());
  std::vector<double> out(size() * size());
  accumulate_gram(rows_, curvature.data(), out.data(), static_cast<std::int64_t>(size()));
  for (size_t j = 0; j < dim; ++j) {
    double* row = out.data() + j * size();
    for (size_t k = 0; k <= j; ++k) {
      row[k] += total * mean_[j] * mean_[k] - mean_[j] * first[k] - first[j] * mean_[k];
      row[k] *= scale_[j] * scale_[k];
    }
    row[j] += inverse_C_ * scale_[j] * scale_[j];
    out[dim * size() + j] = (first[j] - total * mean_[j]) * scale_[j] * scale_.back();
  }
  out[dim * size() + dim] = total * scale_.back() * scale_.back();
  return out;
}

ProbeProblem::Slopes ProbeProblem::along(const std::vector<double>& v, const std::vector<double>& d,
                                         const std::vector<double>& z, const std::vector<double>& u,
                                         double t) const {
  Slopes s;
  for (size_t j = 0; j < mean_.size(); ++j) {
    const double a = scale_[j] * scale_[j] * inverse_C_ * d[j];
    s.first += a * (v[j] + t * d[j]);
    s.second += a * d[j];
  }
  std::vector<double> p(z.size());
  for (size_t i = 0; i < z.size(); ++i) p[i] = z[i] + t * u[i];
  sigmoids(p.data(), static_cast<std::int64_t>(p.size()), p.data());
  for (size_t i = 0; i < z.size(); ++i) {
    s.first += (p[i] - static_cast<double>(labels_[i])) * u[i];
    s.second += p[i] * (1.0 - p[i]) * u[i] * u[i];
  }
  return s;
}

double ProbeProblem::objective(const std::vector<double>& v, const std::vector<double>& margins) const {
  double penalty = 0;
  for (size_t j = 0; j < mean_.size(); ++j) penalty += v[j] * v[j] * scale_[j] * scale_[j];
  // log(1 + e^-m) = max(-m, 0) - log(1 - p) with the smaller p, at most 1/2: a few hundred of them can be
  // multiplied before one logarithm.
  constexpr size_t kAtOnce = 512;
  const std::vector<double> p = smaller_probabilities(margins);
  double loss = 0, product = 1;
  for (size_t i = 0; i < margins.size(); ++i) {
    loss += std::max(labels_[i] == 1 ? -margins[i] : margins[i], 0.0);
    product *= 1.0 - p[i];
    if (i % kAtOnce + 1 == kAtOnce || i + 1 == margins.size()) loss -= std::log(std::exchange(product, 1.0));
  }
  return loss + 0.5 * inverse_C_ * penalty;
}

double ProbeProblem::largest_component(const std::vector<double>& gradient) const {
  const double intercept = gradient.back() / scale_.back();
  double largest = std::abs(intercept);
  for (size_t j = 0; j < mean_.size(); ++j) {
    largest = std::max(largest, std::abs(gradient[j] / scale_[j] + mean_[j] * intercept));
  }
  return largest;
}

double ProbeProblem::suboptimality_bound(const std::vector<double>& gradient,
                                         const std::vector<double>& margins) const {
  double squares = 0;
  for (size_t j = 0; j < mean_.size(); ++j) squares += (gradient[j] / scale_[j]) * (gradient[j] / scale_[j]);
  double curvature = 0;
  for (const double p : smaller_probabilities(margins)) curvature += p * (1.0 - p);
  const double intercept = gradient.back() / scale_.back();
  return 0.5 * squares / inverse_C_ + 0.5 * intercept * intercept / curvature;
}

Probe ProbeProblem::probe_at(const std::vector<double>& v, const std::vector<double>& margins) const {
  Probe probe;
  probe.weights.resize(mean_.size());
  probe.intercept = to_weights(v, probe.weights);
  probe.objective = objective(v, margins);
  return probe;
}

}  // namespace safetylock
