// An approximate inverse Hessian: limited-memory BFGS on top of a Cholesky factor that is renewed now and
// then.
#pragma once

#include <deque>
#include <vector>

#include "analysis/probe_problem.h"

namespace safetylock {

double inner(const std::vector<double>& a, const std::vector<double>& b);
void add_scaled(std::vector<double>& a, double s, const std::vector<double>& b);  ///< a += s b

/// A = L L^T of a symmetric positive definite matrix.
class Cholesky {
 public:
  bool ready() const noexcept { return n_ > 0; }
  /// `a`: lower triangle, [n, n] row-major. Not ready afterwards if rounding has made it indefinite.
  void factor(std::vector<double> a, size_t n);
  /// b becomes A^-1 b.
  void solve(std::vector<double>& b) const;

 private:
  size_t n_ = 0;
  std::vector<double> lower_;
};

/// Nocedal and Wright, Numerical Optimization, algorithm 7.4; the initial matrix is the inverse of the
/// Hessian that was last factored, or before that a multiple of the identity.
class InverseHessian {
 public:
  /// Factors the Hessian at the point with these margins and forgets the steps made before.
  void refresh(const ProbeProblem& problem, const std::vector<double>& margins);
  /// Learns from a step and the change of the gradient that it made.
  void update(std::vector<double> step, std::vector<double> change);
  /// Minus the approximate inverse Hessian times the gradient.
  std::vector<double> descent(const std::vector<double>& gradient) const;
  bool exact() const noexcept { return factor_.ready(); }  ///< a true Hessian is underneath

 private:
  static constexpr size_t kPairs = 12;
  struct Pair {
    std::vector<double> step;
    std::vector<double> change;
    double inverse_curvature;
  };
  std::deque<Pair> pairs_;
  Cholesky factor_;
};

}  // namespace safetylock
