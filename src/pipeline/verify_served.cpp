#include "pipeline/verify_served.h"

#include <ATen/ATen.h>

#include "engine/chat_prompt.h"
#include "pipeline/causal_check_prompts.h"
#include "pipeline/lock_biases.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

const std::vector<double> kShares = {-1, 0, 0.5, 1, 2};
constexpr size_t kHarmful = 12, kBenign = 6;
constexpr std::int64_t kTopLogprobs = 20;  ///< the most that servers give by default
constexpr double kFloor = -50;             ///< servers write -9999 and the like for nothing

void report(const ProgressCallback& on_progress, const char* stage, size_t done, size_t total) {
  const Progress progress{.stage = stage,
                          .done = static_cast<std::int64_t>(done),
                          .total = static_cast<std::int64_t>(total),
                          .unit = "prompts"};
  if (on_progress && !on_progress(progress)) throw Error({.code = "run.interrupted", .where = "verify"});
}

/// [V], of the token behind `prompt` with the lock at `strength`, which may be negative.
at::Tensor logprobs(const CausalLM& model, const std::map<std::int64_t, at::Tensor>& biases,
                    const std::vector<TokenId>& prompt, double strength) {
  Interventions interventions;
  for (const auto& [layer, bias] : biases) interventions.biases.emplace(layer, bias * strength);
  interventions.strengths = {Strength(1)};
  const at::Tensor logits = model.logits({prompt}, LogitsOf::last_token, &interventions)[0];
  return at::log_softmax(logits.to(at::kCPU, at::kDouble), 0);
}

}  // namespace

std::vector<ServedAnswer> ask_served(Endpoint& endpoint, const std::vector<std::vector<TokenId>>& prompts,
                                     const ProgressCallback& on_progress) {
  std::vector<ServedAnswer> answers;
  for (const auto& prompt : prompts) {
    report(on_progress, "asking the server", answers.size(), prompts.size());
    CompletionRequest request;
    request.prompt_ids = prompt;
    request.logprobs = kTopLogprobs;
    const RemoteReply reply = endpoint.complete(request);
    ServedAnswer answer{.prompt_ids = prompt, .likeliest = {}};
    if (!reply.steps.empty()) {
      for (const RemoteToken& token : reply.steps.front().top) {
        if (token.id && token.logprob > kFloor) answer.likeliest.push_back({*token.id, token.logprob});
      }
    }
    answers.push_back(std::move(answer));
  }
  return answers;
}

std::vector<std::vector<TokenId>> served_prompts(const CausalLM& model) {
  std::vector<std::vector<TokenId>> prompts;
  const auto add = [&](std::string_view text) {
    if (model.has_chat_template()) {
      GenerateOptions options;
      options.max_new_tokens = 1;
      prompts.push_back(
          encode_chat_prompt(model, {.messages = {{"user", std::string(text)}}}, options, prompts.size()));
    } else {
      prompts.push_back(model.tokenizer().encode(text).ids);
    }
  };
  for (size_t i = 0; i < kHarmful; ++i) add(kCausalCheckHarmful[i]);
  for (size_t i = 0; i < kBenign; ++i) add(kCausalCheckBenign[i]);
  return prompts;
}

ServedVerdict verify_served(const CausalLM& model, const SafetyLock& lock, Strength strength,
                            const std::vector<ServedAnswer>& answers, const ProgressCallback& on_progress) {
  lock.check_fits(model.config());
  const auto biases = lock_biases(model, lock);
  std::vector<ServedValue> values;
  for (size_t i = 0; i < answers.size(); ++i) {
    report(on_progress, "what the model gives", i, answers.size());
    const size_t first = values.size();
    for (const ServedLogprob& token : answers[i].likeliest) {
      if (token.id < model.config().vocab_size) values.push_back({{}, token.logprob});
    }
    if (values.size() == first) continue;
    for (const double share : kShares) {
      const at::Tensor expected = logprobs(model, biases, answers[i].prompt_ids, share * strength.alpha());
      const double* of = expected.const_data_ptr<double>();
      size_t at = first;
      for (const ServedLogprob& token : answers[i].likeliest) {
        if (token.id < expected.size(0)) values[at++].expected.push_back(of[token.id]);
      }
    }
  }
  return judge_served(kShares, values);
}

}  // namespace safetylock
