#include "safetylock/apply.h"

#include <chrono>

#include "pipeline/lock_biases.h"

namespace safetylock {

AppliedLock apply_lock(const CausalLM& model, const SafetyLock& lock, const ApplyOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const Strength strength = options.alpha ? lock.strength(*options.alpha) : lock.default_strength();
  lock.check_fits(model.config());
  auto interventions = std::make_shared<Interventions>();
  interventions->strengths = {strength};
  interventions->alpha_max = lock.alpha_max();
  interventions->biases = lock_biases(model, lock.heads());
  HookHandle handle = model.set_default_interventions(interventions);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return {std::move(handle), std::move(interventions), seconds};
}

}  // namespace safetylock
