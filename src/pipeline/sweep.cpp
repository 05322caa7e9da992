#include "safetylock/sweep.h"

#include <algorithm>
#include <cmath>

#include "pipeline/sweep_choice.h"
#include "safetylock/apply.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

[[noreturn]] void refuse(const char* code, const char* where, std::string expected, std::string found) {
  throw Error({.code = code, .where = where, .expected = std::move(expected), .found = std::move(found)});
}

void check_heads(std::int64_t num_heads, const SafetyLock& lock) {
  const auto held = static_cast<std::int64_t>(lock.heads().size());
  if (num_heads >= 1 && num_heads <= held) return;
  refuse("arg.range", "num_heads", "1 to the lock's " + std::to_string(held) + " heads",
         std::to_string(num_heads));
}

void check_alpha(double alpha, const SafetyLock& lock) {
  if (lock.strength(alpha).is_zero()) refuse("arg.alpha", "alphas", "strengths above 0", "0");
}

template <typename T>
std::vector<T> ascending(std::vector<T> values, const char* where) {
  if (values.empty()) refuse("arg.range", where, "at least one value", "none");
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

SweepCell measure(const CausalLM& model, const std::vector<std::string>& harmful,
                  const std::vector<std::string>& benign, const SweepOptions& options, std::int64_t num_heads,
                  double alpha) {
  SweepCell cell{.num_heads = num_heads,
                 .alpha = alpha,
                 .harmful = evaluate(model, harmful, options.evaluate),
                 .benign = evaluate(model, benign, options.evaluate)};
  if (options.on_cell) options.on_cell(cell);
  return cell;
}

double push(const SweepCell& cell) {
  return cell.alpha * std::sqrt(static_cast<double>(cell.num_heads));
}

}  // namespace

std::optional<size_t> mildest(const std::vector<SweepCell>& cells, const SweepLimits& limits) {
  std::optional<size_t> chosen;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].meets(limits) && (!chosen || push(cells[i]) < push(cells[*chosen]))) chosen = i;
  }
  return chosen;
}

bool SweepCell::meets(const SweepLimits& limits) const noexcept {
  return harmful.answered.value + harmful.degenerate.value <= limits.max_answered &&
         benign.refused.value + benign.degenerate.value <= limits.max_over_refusal;
}

SafetyLock with_setting(const SafetyLock& lock, std::int64_t num_heads, double default_alpha) {
  check_heads(num_heads, lock);
  const auto heads = lock.heads().first(static_cast<size_t>(num_heads));
  return {lock.identity(), {heads.begin(), heads.end()}, default_alpha, lock.alpha_max()};
}

SweepResult sweep(const CausalLM& model, const SafetyLock& lock, const std::vector<std::string>& harmful,
                  const std::vector<std::string>& benign, const SweepOptions& options) {
  const std::vector<std::int64_t> head_counts = ascending(options.num_heads, "num_heads");
  const std::vector<double> alphas = ascending(options.alphas, "alphas");
  // All settings first: a bad one must not be found after an hour.
  for (const std::int64_t num_heads : head_counts) check_heads(num_heads, lock);
  for (const double alpha : alphas) check_alpha(alpha, lock);
  if (options.evaluate.margin_only)
    refuse("arg.usage", "sweep: margin_only", "replies, which the limits are about", "margins alone");

  SweepResult result{.unlocked = measure(model, harmful, benign, options, 0, 0), .cells = {}, .chosen = {}};
  for (const std::int64_t num_heads : head_counts) {
    for (const double alpha : alphas) {
      const AppliedLock applied = apply_lock(model, with_setting(lock, num_heads, alpha));
      result.cells.push_back(measure(model, harmful, benign, options, num_heads, alpha));
    }
  }
  result.chosen = mildest(result.cells, options.limits);
  return result;
}

}  // namespace safetylock
