#include "analysis/probe_solver.h"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "analysis/inverse_hessian.h"
#include "analysis/probe_problem.h"

namespace safetylock {
namespace {

// A Hessian costs as much as about fifteen gradients. Well-conditioned heads are done before the first one;
// the others converge a few iterations after it.
constexpr int kIterationsBeforeHessian = 12;
constexpr int kIterationsBetweenHessians = 6;
// The objective is this close to its minimum, relatively: three orders below what is promised.
constexpr double kRelativeExcess = 1e-9;
// Below this, relatively, a predicted decrease that no longer shrinks is rounding.
constexpr double kRounding = 1e-15;

class Solver {
 public:
  Solver(ProbeProblem& problem, const ProbeOptions& options)
      : problem_(problem),
        gradient_tolerance_(options.gradient_tolerance * static_cast<double>(problem.rows())),
        here_(problem),
        next_(problem),
        margin_change_(problem.rows()) {
    problem_.evaluate(here_.v, here_.margins, here_.gradient);
  }

  Probe solve(std::int64_t max_iterations) {
    int until_hessian = kIterationsBeforeHessian;
    std::int64_t iteration = 0;
    for (; iteration < max_iterations; ++iteration) {
      if (until_hessian-- == 0) {
        inverse_.refresh(problem_, here_.margins);
        until_hessian = kIterationsBetweenHessians;
        slope_ = -std::numeric_limits<double>::infinity();  // not to be compared with those before
      }
      direction_ = inverse_.descent(here_.gradient);
      previous_slope_ = std::exchange(slope_, inner(here_.gradient, direction_));
      if (!(slope_ < 0) || done()) break;
      search_line();
      inverse_.update(difference(next_.v, here_.v), difference(next_.gradient, here_.gradient));
      std::swap(here_, next_);
    }
    Probe probe = problem_.probe_at(here_.v, here_.margins);
    probe.iterations = iteration;
    return probe;
  }

 private:
  struct Point {
    explicit Point(const ProbeProblem& p) : v(p.size()), margins(p.rows()), gradient(p.size()) {}
    std::vector<double> v;
    std::vector<double> margins;
    std::vector<double> gradient;
  };

  bool done() const {
    const bool small = problem_.largest_component(here_.gradient) <= gradient_tolerance_;
    // Without a Hessian the slope says little about the distance to the optimum; strong convexity then bounds
    // it.
    if (!inverse_.exact()) {
      return small && problem_.suboptimality_bound(here_.gradient, here_.margins) <=
                          kRelativeExcess * problem_.objective(here_.v, here_.margins);
    }
    const bool stalled = -slope_ > 0.25 * -previous_slope_;
    if (!small && !stalled) return false;
    const double objective = problem_.objective(here_.v, here_.margins);
    return (small && -slope_ <= kRelativeExcess * objective) || (stalled && -slope_ <= kRounding * objective);
  }

  void step_to(double t) {
    next_.v = here_.v;
    add_scaled(next_.v, t, direction_);
    problem_.evaluate(next_.v, next_.margins, next_.gradient);
  }

  // The objective along the line is convex, so its slope alone tells where to go: no difference of nearly
  // equal objectives is ever formed. Most steps are accepted as they come; for the others the margins along
  // the line are known without another pass over the rows.
  void search_line() {
    step_to(1.0);
    if (std::abs(inner(next_.gradient, direction_)) <= 0.5 * -slope_) return;
    for (size_t i = 0; i < margin_change_.size(); ++i)
      margin_change_[i] = next_.margins[i] - here_.margins[i];
    double t = 1.0;
    double low = 0.0;
    double high = std::numeric_limits<double>::infinity();
    for (int k = 0; k < 60; ++k) {
      const ProbeProblem::Slopes s = problem_.along(here_.v, direction_, here_.margins, margin_change_, t);
      if (std::abs(s.first) <= 0.1 * -slope_) break;
      (s.first < 0 ? low : high) = t;
      t -= s.first / s.second;
      if (!(t > low && t < high)) t = std::isinf(high) ? 2.0 * low : 0.5 * (low + high);
    }
    step_to(t);
  }

  static std::vector<double> difference(std::vector<double> a, const std::vector<double>& b) {
    add_scaled(a, -1.0, b);
    return a;
  }

  ProbeProblem& problem_;
  double gradient_tolerance_;
  Point here_;
  Point next_;
  InverseHessian inverse_;
  std::vector<double> direction_;
  std::vector<double> margin_change_;  // along direction_, for t = 1
  double slope_ = 0;                   // gradient . direction at here_
  double previous_slope_ = 0;
};

}  // namespace

Probe fit_probe(const RowView& rows, std::span<const std::int64_t> labels, const ProbeOptions& options) {
  ProbeProblem problem(rows, labels, options.C);
  return Solver(problem, options).solve(options.max_iterations);
}

}  // namespace safetylock
