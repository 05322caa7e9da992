// The model's own replies to prompts, and the margins of their first tokens.
#include <chrono>

#include "engine/observed_generation.h"
#include "pipeline/evaluate/first_token.h"
#include "safetylock/error.h"
#include "safetylock/evaluate.h"

namespace safetylock {
namespace {

ProgressCallback progress_of(const EvaluateOptions& options) {
  if (!options.margin_only || !options.on_progress) return options.on_progress;
  return [&options](Progress progress) {
    progress.stage = "measuring refusal margins";
    return options.on_progress(progress);
  };
}

GenerateOptions generate_options(const EvaluateOptions& options) {
  return {.max_new_tokens = options.margin_only ? 1 : options.max_new_tokens,
          .batch_size = options.batch_size,
          .system = options.system,
          .trust_special_tokens = options.trust_special_tokens,
          .on_progress = progress_of(options)};
}

/// Replies, with margins from the pass over the prompt that they begin with.
void answer(const CausalLM& model, const std::vector<GenerateRequest>& requests,
            const GenerateOptions& options, bool margin_only, std::vector<PromptResult>& results) {
  const FirstTokenReader reader(model.tokenizer());
  std::vector<Generation> generations = generate_observed(
      model, requests, options,
      [&](size_t request, const at::Tensor& logits) { reader.read(logits, results[request]); });
  for (size_t i = 0; i < results.size(); ++i) {
    results[i].gate = generations[i].gate;
    if (margin_only) continue;
    results[i].reply = std::move(generations[i].text);
    results[i].tokens = static_cast<std::int64_t>(generations[i].token_ids.size());
    results[i].finish_reason = std::move(generations[i].finish_reason);
  }
}

using Strengths = std::vector<std::optional<Strength>>;

/// Evaluations at each of `strengths`, prompt by prompt in the same batches.
std::vector<Evaluation> evaluate_all(const CausalLM& model, const std::vector<std::string>& prompts,
                                     const Strengths& strengths, const EvaluateOptions& options) {
  if (prompts.empty())
    throw Error(
        {.code = "data.empty", .where = "prompts", .expected = "at least one prompt", .found = "none"});
  if (options.batch_size < 1) {
    throw Error({.code = "arg.range",
                 .where = "batch_size",
                 .expected = "at least 1",
                 .found = std::to_string(options.batch_size)});
  }
  const auto begin = std::chrono::steady_clock::now();
  const GenerateOptions generation = generate_options(options);
  std::vector<GenerateRequest> requests;
  std::vector<PromptResult> results;
  for (const std::string& prompt : prompts) {
    for (const std::optional<Strength>& strength : strengths) {
      requests.push_back(
          {.messages = {{"user", prompt}}, .strength = strength, .conditional = options.conditional});
      results.push_back({.prompt = prompt});
    }
  }
  answer(model, requests, generation, options.margin_only, results);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::vector<std::vector<PromptResult>> parts(strengths.size());
  for (size_t i = 0; i < results.size(); ++i) parts[i % parts.size()].push_back(std::move(results[i]));
  std::vector<Evaluation> evaluations;
  for (std::vector<PromptResult>& part : parts) {
    evaluations.push_back(summarise(std::move(part), !options.margin_only));
    evaluations.back().seconds = seconds / static_cast<double>(strengths.size());
  }
  return evaluations;
}

}  // namespace

Evaluation evaluate(const CausalLM& model, const std::vector<std::string>& prompts,
                    const EvaluateOptions& options) {
  return std::move(evaluate_all(model, prompts, {options.strength}, options).front());
}

std::vector<Evaluation> evaluate_strengths(const CausalLM& model, const std::vector<std::string>& prompts,
                                           const std::vector<Strength>& strengths,
                                           const EvaluateOptions& options) {
  return evaluate_all(model, prompts, Strengths(strengths.begin(), strengths.end()), options);
}

}  // namespace safetylock
