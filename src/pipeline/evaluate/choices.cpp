// Multiple choice by likelihood: no answer has to be parsed.
#include <algorithm>

#include "pipeline/evaluate/continuation.h"
#include "pipeline/evaluate/request_interventions.h"
#include "pipeline/evaluate/step_progress.h"
#include "pipeline/evaluate_parts.h"
#include "safetylock/error.h"
#include "safetylock/utility.h"

namespace safetylock {
namespace {

std::vector<Continuation> continuations_of(const CausalLM& model,
                                           const std::vector<ChoiceQuestion>& questions,
                                           const EvaluateOptions& options) {
  std::vector<Continuation> continuations;
  for (size_t q = 0; q < questions.size(); ++q) {
    for (const std::string& choice : questions[q].choices) {
      continuations.push_back(reply_to(model, questions[q].prompt, choice, options, q));
      if (continuations.back().rest.empty()) {
        throw Error({.code = "data.too_short",
                     .where = "question " + std::to_string(q),
                     .expected = "choices of at least one token",
                     .found = "\"" + escape_untrusted(choice, 40) + "\""});
      }
    }
  }
  return continuations;
}

std::vector<bool> right_ones(const std::vector<ChoiceResult>& results) {
  std::vector<bool> right;
  for (const ChoiceResult& result : results) right.push_back(result.right);
  return right;
}

}  // namespace

std::vector<ChoiceResult> answer_choices(const CausalLM& model, const std::vector<ChoiceQuestion>& questions,
                                         const EvaluateOptions& options) {
  if (questions.empty()) {
    throw Error({.code = "data.empty", .where = "questions", .expected = "at least one", .found = "none"});
  }
  const std::vector<Continuation> continuations = continuations_of(model, questions, options);
  std::vector<size_t> owners;  // the question of each continuation
  std::vector<std::string> prompts;
  for (size_t q = 0; q < questions.size(); ++q) {
    owners.insert(owners.end(), questions[q].choices.size(), q);
    prompts.insert(prompts.end(), questions[q].choices.size(), questions[q].prompt);
  }
  const std::optional<Interventions> interventions = prompt_interventions(model, prompts, options);
  const std::vector<double> nll = continuation_nll(
      model, continuations, options.batch_size, interventions ? &*interventions : nullptr, [&](size_t done) {
        report_step(options.on_progress, "multiple choice",
                    done < owners.size() ? owners[done] : questions.size(), questions.size(), "questions");
      });
  std::vector<ChoiceResult> results(questions.size());
  for (size_t i = 0; i < continuations.size(); ++i)
    results[owners[i]].scores.push_back(-nll[i] / static_cast<double>(continuations[i].rest.size()));
  for (size_t q = 0; q < questions.size(); ++q) {
    const std::vector<double>& scores = results[q].scores;
    results[q].chosen = static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    results[q].right = results[q].chosen == questions[q].answer;
  }
  return results;
}

Rate accuracy(const std::vector<ChoiceResult>& results) {
  const std::vector<bool> right = right_ones(results);
  return rate_of(std::count(right.begin(), right.end(), true), static_cast<std::int64_t>(right.size()));
}

McNemar compare(const std::vector<ChoiceResult>& unlocked, const std::vector<ChoiceResult>& locked) {
  return mcnemar_of(right_ones(unlocked), right_ones(locked));
}

}  // namespace safetylock
