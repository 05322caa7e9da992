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
      if (reply.rest.empty()) continue;
      replies_.push_back(std::move(reply));
      prompts_.push_back(i);
    }
  }

  /// [strengths][replies]: KL(unlocked || lock at that strength).
  std::vector<std::vector<double>> divergences(const CausalLM& model, const Interventions& lock,
                                               const std::vector<Strength>& strengths,
                                               const ProgressCallback& on_progress) const {
    std::vector<std::vector<double>> values(strengths.size());
    for (size_t r = 0; r < replies_.size(); ++r) {
      report_step(on_progress, "measuring divergence", r, replies_.size(), "replies");
      const std::vector<double> kl = mean_divergences(model, lock, replies_[r], strengths);
      for (size_t s = 0; s < kl.size(); ++s) values[s].push_back(kl[s]);
    }
    return values;
  }

  /// Mean of the replies' `values`, with 0 for prompts on which the lock does not act.
  std::optional<Mean> mean(std::vector<double> values, const std::vector<bool>& acts) const {
    for (size_t r = 0; r < values.size(); ++r) {
      if (!acts[prompts_[r]]) values[r] = 0;
    }
    return values.empty() ? std::nullopt : std::optional(mean_of(values));
  }

 private:
  std::vector<Continuation> replies_;
  std::vector<size_t> prompts_;  // of each reply
};

/// `lock` with gates that read and never open.
Interventions only_reading(const CausalLM& model, const SafetyLock& lock) {
  constexpr double kNever = 1;  // no probability reaches it; what cannot be read still opens
  Interventions reading = apply_lock(model, lock).interventions();
  reading.rule.threshold = kNever;
  reading.reply_rule.threshold = kNever;
  return reading;
}

/// An evaluation under gates that never open, as that of the unlocked model.
Evaluation without_readings(const Evaluation& read) {
  std::vector<PromptResult> results = read.results;
  for (PromptResult& result : results) result.gate.reset();
  Evaluation evaluation = summarise(std::move(results), true);
  evaluation.seconds = read.seconds;
  return evaluation;
}

/// A set of prompts: what the unlocked model says to them, and what the lock's gates say of them.
class Prompts {
 public:
  /// The model's default interventions read the gates of `lock`, if it has any, and never act.
  Prompts(const CausalLM& model, const SafetyLock& lock, const std::vector<std::string>& prompts,
          const EvaluateOptions& options)
      : lock_(lock),
        prompts_(prompts),
        read_(evaluate(model, prompts, options)),
        unlocked_(without_readings(read_)) {}

  const Evaluation& unlocked() const noexcept { return unlocked_; }

  std::vector<Evaluation> locked(const CausalLM& model, const std::vector<Strength>& strengths,
                                 const EvaluateOptions& options) const {
    return evaluate_strengths(model, prompts_, strengths, options);
  }

  /// Which of them open a gate, with this threshold for prompts; all without one.
  std::vector<bool> opened(std::optional<double> threshold) const {
    std::vector<bool> acts;
    for (const PromptResult& result : read_.results) {
      const auto opens = [](double score, double at) {
        return read_score(score, {.threshold = at}).opened();
      };
      acts.push_back(
          !threshold || opens(result.gate->score, *threshold) ||
          (result.gate->reply_score && opens(*result.gate->reply_score, lock_.reply_gate()->threshold)));
    }
    return acts;
  }

  /// The evaluation of a lock that acts on those that open its gate.
  Evaluation gated(const Evaluation& locked, std::optional<double> threshold) const {
    const std::vector<bool> acts = opened(threshold);
    std::vector<PromptResult> results;
    for (size_t i = 0; i < acts.size(); ++i)
      results.push_back(acts[i] ? locked.results[i] : unlocked_.results[i]);
    Evaluation evaluation = summarise(std::move(results), true);
    evaluation.seconds = locked.seconds;
    return evaluation;
  }

 private:
  const SafetyLock& lock_;
  const std::vector<std::string>& prompts_;
  Evaluation read_, unlocked_;
};

std::vector<std::optional<double>> thresholds_of(const SafetyLock& lock, const SweepOptions& options) {
  if (!lock.gate()) {
    if (!options.thresholds.empty())
      refuse("arg.gate", "sweep: thresholds", "a lock with a gate", "one without");
    return {std::nullopt};
  }
  std::vector<std::optional<double>> thresholds = {std::nullopt};
  std::vector<double> given = options.thresholds;
  if (given.empty()) given = {lock.gate()->threshold};
  for (const double threshold : ascending(std::move(given), "thresholds")) {
    check_rule({.threshold = threshold});
    thresholds.emplace_back(threshold);
  }
  return thresholds;
}

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
  const auto cost = [](const SweepCell& cell) {
    return std::pair(push(cell), cell.benign.refused.value + cell.benign.degenerate.value);
  };
  std::optional<size_t> chosen;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].meets(limits) && (!chosen || cost(cells[i]) < cost(cells[*chosen]))) chosen = i;
  }
  return chosen;
}

bool SweepCell::meets(const SweepLimits& limits) const noexcept {
  return harmful.answered.value + harmful.degenerate.value <= limits.max_answered &&
         benign.refused.value + benign.degenerate.value <= limits.max_over_refusal &&
         (!limits.max_kl || (kl && kl->value <= *limits.max_kl));
}

SafetyLock with_setting(const SafetyLock& lock, std::int64_t num_heads, double default_alpha,
                        std::optional<double> threshold) {
  check_heads(num_heads, lock);
  const auto heads = lock.heads().first(static_cast<size_t>(num_heads));
  std::optional<Gate> gate;
  if (threshold) {
    gate = lock.gate();
    if (!gate) refuse("arg.gate", "with_setting: threshold", "a lock with a gate", "one without");
    gate->threshold = *threshold;
  }
  return {lock.identity(), {heads.begin(), heads.end()},
          default_alpha,   lock.alpha_max(),
          std::move(gate), threshold ? lock.reply_gate() : std::nullopt};
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
  const std::vector<std::optional<double>> thresholds = thresholds_of(lock, options);
  std::vector<std::vector<Strength>> strengths;
  for (const std::int64_t num_heads : head_counts) {
    check_heads(num_heads, lock);
    strengths.push_back(strengths_of(lock.heads().first(static_cast<size_t>(num_heads)), lock, options));
  }
  if (options.evaluate.margin_only)
    refuse("arg.usage", "sweep: margin_only", "replies, which the limits are about", "margins alone");

  std::optional<Prompts> on_harmful, on_benign, on_lookalikes;
  {
    HookHandle reading;
    if (lock.gate())
      reading =
          model.set_default_interventions(std::make_shared<const Interventions>(only_reading(model, lock)));
    on_harmful.emplace(model, lock, harmful, options.evaluate);
    on_benign.emplace(model, lock, benign, options.evaluate);
    if (!options.lookalikes.empty()) on_lookalikes.emplace(model, lock, options.lookalikes, options.evaluate);
  }
  SweepResult result{
      .unlocked = {.gap = 0.0, .harmful = on_harmful->unlocked(), .benign = on_benign->unlocked(), .kl = {}},
      .cells = {},
      .chosen = {}};
  if (on_lookalikes) result.unlocked.lookalikes = on_lookalikes->unlocked();
  if (options.on_cell) options.on_cell(result.unlocked);
  const BenignReplies replies(model, result.unlocked.benign, options.evaluate);
  for (size_t k = 0; k < head_counts.size(); ++k) {
    const AppliedLock applied =
        apply_lock(model, with_setting(lock, head_counts[k], strengths[k].back().alpha()));
    const auto harmful_at = on_harmful->locked(model, strengths[k], options.evaluate);
    const auto benign_at = on_benign->locked(model, strengths[k], options.evaluate);
    const auto lookalikes_at = on_lookalikes ? on_lookalikes->locked(model, strengths[k], options.evaluate)
                                             : std::vector<Evaluation>();
    const auto kl =
        replies.divergences(model, applied.interventions(), strengths[k], options.evaluate.on_progress);
    const std::optional<double> alpha_of_one =
        alpha_of_gap(lock.heads().first(static_cast<size_t>(head_counts[k])), 1);
    for (size_t s = 0; s < strengths[k].size(); ++s) {
      for (const std::optional<double>& threshold : thresholds) {
        const double alpha = strengths[k][s].alpha();
        SweepCell cell{.num_heads = head_counts[k],
                       .alpha = alpha,
                       .threshold = threshold,
                       .gap = alpha_of_one ? std::optional(alpha / *alpha_of_one) : std::nullopt,
                       .harmful = on_harmful->gated(harmful_at[s], threshold),
                       .benign = on_benign->gated(benign_at[s], threshold),
                       .kl = replies.mean(kl[s], on_benign->opened(threshold))};
        if (on_lookalikes) cell.lookalikes = on_lookalikes->gated(lookalikes_at[s], threshold);
        result.cells.push_back(std::move(cell));
        if (options.on_cell) options.on_cell(result.cells.back());
      }
    }
  }
  result.chosen = mildest(result.cells, options.limits);
  return result;
}

}  // namespace safetylock
