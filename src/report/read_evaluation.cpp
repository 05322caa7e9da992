#include <cmath>
#include <map>

#include "report/fields.h"
#include "report/number_text.h"
#include "report/read_results.h"
#include "safetylock/error.h"

namespace safetylock::report {
namespace {

std::optional<Outcome> read_outcome(const JsonObject& object) {
  if (object.at("outcome").is_null()) return std::nullopt;
  const std::string text = object.string("outcome");
  for (const Outcome outcome : {Outcome::answered, Outcome::refused, Outcome::degenerate})
    if (text == to_string(outcome)) return outcome;
  throw Error({"cfg.range", object.file(), object.pointer_to("outcome"), "answered, refused or degenerate",
               "\"" + escape_untrusted(text) + "\"", ""});
}

std::vector<Reply> read_replies(const JsonObject& set) {
  std::vector<Reply> replies;
  for_each(set, "results", [&](const JsonObject& object) {
    replies.push_back({.prompt = object.string("prompt"),
                       .reply = object.string("reply"),
                       .outcome = read_outcome(object),
                       .refusal_margin = optional_number(object, "refusal_margin"),
                       .judge_score = optional_number(object, "judge_score")});
  });
  return replies;
}

// What the file counts must be what its replies show.
void check_replies(const JsonObject& object, const PromptSet& set) {
  const auto n = static_cast<std::int64_t>(set.replies.size());
  double sum = 0;
  std::int64_t margins = 0;
  std::map<Outcome, std::int64_t> found;
  for (const Reply& reply : set.replies) {
    if (reply.outcome) ++found[*reply.outcome];
    if (!reply.refusal_margin) continue;
    sum += *reply.refusal_margin;
    ++margins;
  }
  if (set.refusal_margin.n != margins)
    contradict(object, "refusal_margin",
               "a mean over the " + std::to_string(margins) + " margins of the results",
               "over " + std::to_string(set.refusal_margin.n));
  const double mean = margins == 0 ? 0.0 : sum / static_cast<double>(margins);
  if (std::abs(mean - set.refusal_margin.value) > 1e-6 * (1 + std::abs(mean)))
    contradict(object, "refusal_margin", "the mean of the results, " + shortest(mean),
               shortest(set.refusal_margin.value));
  if (set.answered.n == 0) return;
  const auto check = [&](const char* key, const Rate& rate, Outcome outcome) {
    if (rate.n != n || rate.count != found[outcome])
      contradict(object, key,
                 std::to_string(found[outcome]) + " of " + std::to_string(n) + ", as in the results",
                 counts(rate));
  };
  check("answered", set.answered, Outcome::answered);
  check("refused", set.refused, Outcome::refused);
  check("degenerate", set.degenerate, Outcome::degenerate);
}

McNemar read_mcnemar(const JsonObject& object) {
  return {.unlocked_only = object.integer("unlocked_only", 0, std::int64_t{1} << 53),
          .locked_only = object.integer("locked_only", 0, std::int64_t{1} << 53),
          .p = read_share(object, "p")};
}

std::optional<McNemar> optional_mcnemar(const JsonObject& object, const std::string& key) {
  return object.has(key) ? std::optional(read_mcnemar(object.object(key))) : std::nullopt;
}

Run read_run(const JsonObject& object) {
  Run run;
  const JsonObject sets = object.object("sets");
  for (const Kind kind : kKinds)
    if (sets.has(key_of(kind))) run.sets[kind] = read_prompt_set(sets.object(key_of(kind)));
  if (object.has("utility")) {
    const JsonObject utility = object.object("utility");
    run.utility.emplace();
    if (utility.has("text")) run.utility->perplexity = read_mean(utility.object("text"), "perplexity");
    if (utility.has("choices")) run.utility->choices = read_rate(utility.object("choices"), "accuracy");
  }
  run.seconds = optional_seconds(object, "seconds");
  run.tokens_generated = optional_count(object, "tokens_generated");
  return run;
}

Comparison read_comparison(const JsonObject& object) {
  Comparison comparison;
  const JsonObject sets = object.object("sets");
  for (const Kind kind : kKinds) {
    if (!sets.has(key_of(kind))) continue;
    const JsonObject set = sets.object(key_of(kind));
    comparison.sets[kind] = SetComparison{.answered = optional_mcnemar(set, "answered"),
                                          .refused = optional_mcnemar(set, "refused"),
                                          .degenerate = optional_mcnemar(set, "degenerate"),
                                          .margin_shift = optional_mean(set, "margin_shift")};
  }
  if (object.has("utility")) {
    const JsonObject utility = object.object("utility");
    comparison.kl = optional_mean(utility, "kl");
    comparison.perplexity_ratio = optional_number(utility, "perplexity_ratio");
    comparison.choices = optional_mcnemar(utility, "choices");
  }
  return comparison;
}

// evaluate/1: one run a file, its sets at the top; a lock in fields of its own.
void read_version_1(const JsonObject& root, Evaluation& evaluation) {
  Run run;
  double seconds = 0;
  for (const Kind kind : {Kind::harmful, Kind::benign}) {
    if (!root.has(key_of(kind))) continue;
    run.sets[kind] = read_prompt_set(root.object(key_of(kind)));
    seconds += run.sets[kind]->seconds.value_or(0);
  }
  run.seconds = evaluation.seconds = seconds;
  // Alpha 0 given by the user means unlocked.
  const bool locked = root.has("lock") && root.number("alpha") != 0;
  if (locked)
    evaluation.lock = LockName{.path = root.string("lock"),
                               .digest = root.string("lock_digest"),
                               .alpha = root.number("alpha"),
                               .heads = {}};
  (locked ? evaluation.locked : evaluation.unlocked) = std::move(run);
}

}  // namespace

PromptSet read_prompt_set(const JsonObject& object) {
  PromptSet set{.answered = read_rate(object, "answered"),
                .refused = read_rate(object, "refused"),
                .degenerate = read_rate(object, "degenerate"),
                .refuses_first = read_rate(object, "refuses_first"),
                .refusal_margin = read_mean(object, "refusal_margin"),
                .judge_score = {},
                .judge_harmful = {},
                .base_perplexity = optional_mean(object, "base_perplexity"),
                .distinct_2 = optional_mean(object, "distinct_2"),
                .early_end = optional_rate(object, "early_end"),
                .gate_opened = optional_rate(object, "gate_opened"),
                .seconds = optional_seconds(object, "seconds"),
                .replies = {}};
  if (object.has("judge")) {
    set.judge_score = optional_mean(object.object("judge"), "score");
    set.judge_harmful = optional_rate(object.object("judge"), "harmful");
  }
  const std::int64_t n = set.answered.n;
  if (set.refused.n != n || set.degenerate.n != n ||
      set.answered.count + set.refused.count + set.degenerate.count != n)
    contradict(object, "answered", "answered + refused + degenerate = n",
               counts(set.answered) + ", " + counts(set.refused) + ", " + counts(set.degenerate));
  if (object.has("results")) {
    set.replies = read_replies(object);
    check_replies(object, set);
  }
  return set;
}

Evaluation read_evaluation(const JsonObject& root, int version) {
  Evaluation evaluation;
  evaluation.model = root.string("model");
  evaluation.adapter = optional_text(root, "adapter");
  evaluation.apply_seconds = optional_seconds(root, "apply_seconds");
  if (version == 1) {
    read_version_1(root, evaluation);
    return evaluation;
  }
  if (root.has("lock")) evaluation.lock = read_lock(root.object("lock"));
  const JsonObject runs = root.object("runs");
  if (runs.has("unlocked")) evaluation.unlocked = read_run(runs.object("unlocked"));
  if (runs.has("locked")) evaluation.locked = read_run(runs.object("locked"));
  if (!evaluation.unlocked && !evaluation.locked)
    contradict(root, "runs", "an unlocked or a locked run", "none");
  if (evaluation.locked.has_value() && !evaluation.lock)
    contradict(root, "lock", "the lock of the locked run", "none");
  if (root.has("comparison")) evaluation.comparison = read_comparison(root.object("comparison"));
  evaluation.seconds = optional_seconds(root, "seconds");
  return evaluation;
}

}  // namespace safetylock::report
