#include "pipeline/control_vector_gap.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "pipeline/evaluate/divergence.h"
#include "pipeline/lock_biases.h"
#include "pipeline/verify_served.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

at::Tensor centred(const at::Tensor& logits) {
  return logits - logits.mean(1, true);
}

}  // namespace

ControlVectorGap control_vector_gap(const CausalLM& model, const SafetyLock& lock, Strength strength,
                                    const std::map<std::int64_t, std::vector<float>>& directions,
                                    const ProgressCallback& on_progress) {
  lock.check_fits(model.config());
  Interventions locked{.biases = lock_biases(model, lock.heads()), .strengths = {strength}};
  std::map<std::int64_t, at::Tensor> added;
  std::vector<std::int64_t> layers;
  for (const auto& [layer, direction] : directions) {
    layers.push_back(layer);
    added.emplace(layer, at::tensor(at::ArrayRef<float>(direction)).to(model.device()));
  }
  const auto logits = [&](const std::vector<TokenId>& prompt, const Interventions& interventions) {
    return model.logits({prompt}, LogitsOf::all_tokens, &interventions).to(at::kCPU, at::kDouble);
  };
  const auto prompts = served_prompts(model);
  ControlVectorGap gap{.prompts = static_cast<std::int64_t>(prompts.size())};
  std::int64_t same = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const Progress progress{.stage = "measuring the control vector",
                            .done = static_cast<std::int64_t>(i),
                            .total = gap.prompts,
                            .unit = "prompts"};
    if (on_progress && !on_progress(progress)) throw Error({.code = "run.interrupted", .where = "export"});
    const at::Tensor exact = logits(prompts[i], locked), unlocked = logits(prompts[i], {});
    const HookHandle hook =
        model.add_hook(HookPoint::block_output, layers, [&](const HookContext& at, at::Tensor& value) {
          value = value + added.at(at.layer).to(value.scalar_type());
        });
    const at::Tensor approximate = logits(prompts[i], {});
    gap.tokens += exact.size(0);
    gap.largest_logit_gap =
        std::max(gap.largest_logit_gap, (centred(exact) - centred(approximate)).abs().max().item<double>());
    gap.mean_kl += kl_sum(exact, approximate);
    gap.mean_kl_unlocked += kl_sum(exact, unlocked);
    same += exact.argmax(1).eq(approximate.argmax(1)).sum().item<std::int64_t>();
  }
  const auto tokens = static_cast<double>(gap.tokens);
  gap.mean_kl /= tokens;
  gap.mean_kl_unlocked /= tokens;
  gap.same_first_token = static_cast<double>(same) / tokens;
  return gap;
}

}  // namespace safetylock
