#include "safetylock/sweep.h"

#include <algorithm>
#include <cmath>

#include "pipeline/evaluate/divergence.h"
#include "pipeline/evaluate/step_progress.h"
#include "pipeline/evaluate_parts.h"
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

template <typename T>
std::vector<T> ascending(std::vector<T> values, const char* where) {
  if (values.empty()) refuse("arg.range", where, "at least one value", "none");
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

/// What the unlocked model says to benign prompts.
class BenignReplies {
 public:
  BenignReplies(const CausalLM& model, const Evaluation& unlocked, const EvaluateOptions& options) {
    for (size_t i = 0; i < unlocked.results.size(); ++i) {
      const PromptResult& result = unlocked.results[i];
      Continuation reply = reply_to(model, result.prompt, result.reply, options, i);
      if (!reply.rest.empty()) replies_.push_back(std::move(reply));
    }
  }

  /// [strengths]: KL(unlocked || lock at that strength), a value a reply.
  std::vector<std::optional<Mean>> divergences(const CausalLM& model, const Interventions& lock,
                                               const std::vector<Strength>& strengths,
                                               const ProgressCallback& on_progress) const {
    std::vector<std::vector<double>> values(strengths.size());
    for (size_t r = 0; r < replies_.size(); ++r) {
      report_step(on_progress, "measuring divergence", r, replies_.size(), "replies");
      const std::vector<double> kl = mean_divergences(model, lock, replies_[r], strengths);
      for (size_t s = 0; s < kl.size(); ++s) values[s].push_back(kl[s]);
    }
    std::vector<std::optional<Mean>> means;
    for (const std::vector<double>& v : values)
      means.push_back(v.empty() ? std::nullopt : std::optional(mean_of(v)));
    return means;
  }

 private:
  std::vector<Continuation> replies_;
};

/// The strengths to try with `heads`, ascending.
std::vector<Strength> strengths_of(std::span<const HeadDirection> heads, const SafetyLock& lock,
                                   const SweepOptions& options) {
  std::vector<double> alphas = options.alphas;
  for (const double gap : options.gaps) {
    const std::optional<double> alpha = alpha_of_gap(heads, gap);
    if (!alpha) {
      throw Error({.code = "arg.gap",
                   .where = "sweep: gaps",
                   .expected = "a lock that knows its heads' class gaps",
                   .found = "a head without one",
                   .hint = "Imported locks do not have them: give strengths in units of sigma"});
    }
    alphas.push_back(*alpha);
  }
  std::vector<Strength> strengths;
  for (const double alpha : ascending(std::move(alphas), "alphas")) {
    strengths.push_back(lock.strength(alpha));
    if (strengths.back().is_zero()) refuse("arg.alpha", "alphas", "strengths above 0", "0");
  }
  return strengths;
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
         benign.refused.value + benign.degenerate.value <= limits.max_over_refusal &&
         (!limits.max_kl || (kl && kl->value <= *limits.max_kl));
}

SafetyLock with_setting(const SafetyLock& lock, std::int64_t num_heads, double default_alpha) {
  check_heads(num_heads, lock);
  const auto heads = lock.heads().first(static_cast<size_t>(num_heads));
  return {lock.identity(), {heads.begin(), heads.end()}, default_alpha, lock.alpha_max()};
}

std::optional<double> alpha_of_gap(std::span<const HeadDirection> heads, double gap) {
  double gaps = 0, sigmas = 0;
  for (const HeadDirection& head : heads) {
    if (head.gap == 0) return std::nullopt;
    gaps += static_cast<double>(head.gap) * static_cast<double>(head.gap);
    sigmas += static_cast<double>(head.sigma) * static_cast<double>(head.sigma);
  }
  return gap * std::sqrt(gaps / sigmas);
}

std::int64_t heads_of_share(const LockIdentity& identity, double share) {
  if (!(share > 0 && share <= 1))
    refuse("arg.range", "share of heads", "above 0, at most 1", std::to_string(share));
  const auto all = static_cast<double>(identity.num_hidden_layers * identity.num_attention_heads);
  return std::max<std::int64_t>(1, std::llround(share * all));
}

SweepResult sweep(const CausalLM& model, const SafetyLock& lock, const std::vector<std::string>& harmful,
                  const std::vector<std::string>& benign, const SweepOptions& options) {
  // All settings first: a bad one must not be found after an hour.
  const std::vector<std::int64_t> head_counts = ascending(options.num_heads, "num_heads");
  std::vector<std::vector<Strength>> strengths;
  for (const std::int64_t num_heads : head_counts) {
    check_heads(num_heads, lock);
    strengths.push_back(strengths_of(lock.heads().first(static_cast<size_t>(num_heads)), lock, options));
  }
  if (options.evaluate.margin_only)
    refuse("arg.usage", "sweep: margin_only", "replies, which the limits are about", "margins alone");

  SweepResult result{.unlocked = {.gap = 0.0,
                                  .harmful = evaluate(model, harmful, options.evaluate),
                                  .benign = evaluate(model, benign, options.evaluate),
                                  .kl = {}},
                     .cells = {},
                     .chosen = {}};
  if (options.on_cell) options.on_cell(result.unlocked);
  const BenignReplies replies(model, result.unlocked.benign, options.evaluate);
  for (size_t k = 0; k < head_counts.size(); ++k) {
    const AppliedLock applied =
        apply_lock(model, with_setting(lock, head_counts[k], strengths[k].back().alpha()));
    const auto harmful_at = evaluate_strengths(model, harmful, strengths[k], options.evaluate);
    const auto benign_at = evaluate_strengths(model, benign, strengths[k], options.evaluate);
    const auto kl =
        replies.divergences(model, applied.interventions(), strengths[k], options.evaluate.on_progress);
    const std::optional<double> alpha_of_one =
        alpha_of_gap(lock.heads().first(static_cast<size_t>(head_counts[k])), 1);
    for (size_t s = 0; s < strengths[k].size(); ++s) {
      const double alpha = strengths[k][s].alpha();
      result.cells.push_back({.num_heads = head_counts[k],
                              .alpha = alpha,
                              .gap = alpha_of_one ? std::optional(alpha / *alpha_of_one) : std::nullopt,
                              .harmful = harmful_at[s],
                              .benign = benign_at[s],
                              .kl = kl[s]});
      if (options.on_cell) options.on_cell(result.cells.back());
    }
  }
  result.chosen = mildest(result.cells, options.limits);
  return result;
}

}  // namespace safetylock
