// The model's own replies to prompts, and the margins of their first tokens.
#include <algorithm>
#include <chrono>

#include "engine/chat_prompt.h"
#include "engine/observed_generation.h"
#include "pipeline/evaluate/first_token.h"
#include "pipeline/evaluate/request_interventions.h"
#include "pipeline/evaluate/step_progress.h"
#include "safetylock/error.h"
#include "safetylock/evaluate.h"

namespace safetylock {
namespace {

GenerateOptions generate_options(const EvaluateOptions& options) {
  return {.max_new_tokens = options.margin_only ? 1 : options.max_new_tokens,
          .batch_size = options.batch_size,
          .system = options.system,
          .trust_special_tokens = options.trust_special_tokens,
          .on_progress = options.on_progress};
}

void report(const EvaluateOptions& options, size_t done, size_t total) {
  report_step(options.on_progress, "measuring refusal margins", done, total, "prompts");
}

/// One forward pass a prompt, in batches, without replies.
void measure_margins(const CausalLM& model, const std::vector<GenerateRequest>& requests,
                     const GenerateOptions& generation, const EvaluateOptions& options,
                     std::vector<PromptResult>& results) {
  const c10::InferenceMode inference;
  const FirstTokenReader reader(model.tokenizer());
  std::vector<std::vector<TokenId>> sequences;
  for (const GenerateRequest& request : requests)
    sequences.push_back(encode_chat_prompt(model, request, generation, sequences.size()));
  const auto batch_size = static_cast<size_t>(options.batch_size);
  for (size_t begin = 0; begin < sequences.size(); begin += batch_size) {
    report(options, begin, sequences.size());
    const size_t end = std::min(begin + batch_size, sequences.size());
    std::vector<std::optional<Strength>> strengths;
    for (size_t i = begin; i < end; ++i) strengths.push_back(requests[i].strength);
    const std::optional<Interventions> interventions = request_interventions(model, strengths);
    const at::Tensor logits = model
                                  .logits({sequences.begin() + static_cast<std::ptrdiff_t>(begin),
                                           sequences.begin() + static_cast<std::ptrdiff_t>(end)},
                                          LogitsOf::last_token, interventions ? &*interventions : nullptr)
                                  .cpu();
    for (size_t i = begin; i < end; ++i)
      reader.read(logits[static_cast<std::int64_t>(i - begin)], results[i]);
  }
  report(options, sequences.size(), sequences.size());
}

/// Replies, with margins from the pass over the prompt that they begin with.
void answer(const CausalLM& model, const std::vector<GenerateRequest>& requests,
            const GenerateOptions& options, std::vector<PromptResult>& results) {
  const FirstTokenReader reader(model.tokenizer());
  std::vector<Generation> generations = generate_observed(
      model, requests, options,
      [&](size_t request, const at::Tensor& logits) { reader.read(logits, results[request]); });
  for (size_t i = 0; i < results.size(); ++i) {
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
      requests.push_back({.messages = {{"user", prompt}}, .strength = strength});
      results.push_back({.prompt = prompt});
    }
  }
  if (options.margin_only) {
    measure_margins(model, requests, generation, options, results);
  } else {
    answer(model, requests, generation, results);
  }
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
