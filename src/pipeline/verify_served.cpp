#include "pipeline/verify_served.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "engine/chat_prompt.h"
#include "pipeline/causal_check_prompts.h"
#include "pipeline/lock_biases.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

const std::vector<double> kShares = {-1, 0, 0.5, 1, 2};
constexpr size_t kHarmful = 12, kBenign = 6;
constexpr std::int64_t kTopLogprobs = 20;  ///< the most that servers give by default
constexpr size_t kTogether = 4;
constexpr double kFloor = -50;  ///< servers write -9999 and the like for nothing

Progress progress_of(const char* stage, size_t done, size_t total) {
  return {.stage = stage,
          .done = static_cast<std::int64_t>(done),
          .total = static_cast<std::int64_t>(total),
          .unit = "prompts"};
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

std::vector<ServedAnswer> ask_served(Endpoint& endpoint, const ServedPrompts& prompts,
                                     const ProgressCallback& on_progress) {
  std::vector<ServedAnswer> answers(prompts.size());
  const auto ask = [&](size_t i) {
    CompletionRequest request;
    request.prompt_ids = prompts[i];
    request.logprobs = kTopLogprobs;
    const RemoteReply reply = endpoint.complete(request);
    answers[i].prompt_ids = prompts[i];
    if (reply.steps.empty()) return;
    for (const RemoteToken& token : reply.steps.front().top) {
      if (token.logprob > kFloor) answers[i].likeliest.push_back(token);
    }
  };
  ask_together(endpoint, prompts.size(), kTogether, ask, [&](size_t done) {
    return !on_progress || on_progress(progress_of("asking the server", done, prompts.size()));
  });
  return answers;
}

ServedPrompts served_prompts(const CausalLM& model) {
  ServedPrompts prompts;
  for (size_t i = 0; i < kHarmful; ++i)
    prompts.push_back(encode_prompt(model, std::string(kCausalCheckHarmful[i])));
  for (size_t i = 0; i < kBenign; ++i)
    prompts.push_back(encode_prompt(model, std::string(kCausalCheckBenign[i])));
  return prompts;
}

ServedVerdict verify_served(const CausalLM& model, const SafetyLock& lock, Strength strength,
                            const std::vector<ServedAnswer>& answers, const ProgressCallback& on_progress) {
  lock.check_fits(model.config());
  const auto biases = lock_biases(model, lock.heads());
  std::vector<ServedValue> values;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (on_progress && !on_progress(progress_of("what the model gives", i, answers.size())))
      throw Error({.code = "run.interrupted", .where = "verify"});
    std::vector<TokenId> ids;
    const size_t first = values.size();
    for (const RemoteToken& token : answers[i].likeliest) {
      if (!token.id || *token.id >= model.config().vocab_size) continue;
      ids.push_back(*token.id);
      values.push_back({{}, token.logprob});
    }
    for (const double share : kShares) {
      if (ids.empty()) break;
      const at::Tensor expected = logprobs(model, biases, answers[i].prompt_ids, share * strength.alpha());
      const double* of = expected.const_data_ptr<double>();
      for (size_t k = 0; k < ids.size(); ++k) values[first + k].expected.push_back(of[ids[k]]);
    }
  }
  return judge_served(kShares, values);
}

ServedPrompts served_prompts(const VerifyProbes& probes) {
  ServedPrompts prompts;
  for (const VerifyProbe& probe : probes.probes)
    prompts.emplace_back(probe.prompt_ids.begin(), probe.prompt_ids.end());
  return prompts;
}

ServedVerdict verify_served(const VerifyProbes& probes, const std::vector<ServedAnswer>& answers) {
  std::vector<ServedValue> values;
  for (size_t i = 0; i < answers.size() && i < probes.probes.size(); ++i) {
    const std::vector<ProbeToken>& next = probes.probes[i].next;
    for (const RemoteToken& served : answers[i].likeliest) {
      const auto is_it = [&](const ProbeToken& t) {
        return served.id ? t.id == *served.id : t.text == served.text;
      };
      const auto it = std::find_if(next.begin(), next.end(), is_it);
      if (it != next.end() && std::count_if(next.begin(), next.end(), is_it) == 1)
        values.push_back({{it->unlocked, it->locked}, served.logprob});
    }
  }
  return judge_served({0, 1}, values);
}

}  // namespace safetylock
