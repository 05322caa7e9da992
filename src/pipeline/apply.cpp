#include "safetylock/apply.h"

#include <chrono>

#include "pipeline/output_bias.h"

namespace safetylock {
namespace {

std::vector<HeadDirection> heads_of(const SafetyLock& lock, std::int64_t layer) {
  std::vector<HeadDirection> heads;
  for (const HeadDirection& head : lock.heads()) {
    if (head.id.layer == layer) heads.push_back(head);
  }
  return heads;
}

}  // namespace

AppliedLock apply_lock(const CausalLM& model, const SafetyLock& lock, const ApplyOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const Strength strength = options.alpha ? lock.strength(*options.alpha) : lock.default_strength();
  lock.check_fits(model.config());
  auto interventions = std::make_shared<Interventions>();
  interventions->strengths = {strength};
  interventions->alpha_max = lock.alpha_max();
  for (const std::int64_t layer : lock.layers()) {
    interventions->biases.emplace(layer, output_bias(model.o_proj_weight(layer), heads_of(lock, layer)));
  }
  HookHandle handle = model.set_default_interventions(interventions);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return {std::move(handle), std::move(interventions), seconds};
}

}  // namespace safetylock
