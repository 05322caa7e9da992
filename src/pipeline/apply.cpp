#include "safetylock/apply.h"

#include <chrono>

#include "model/gate_probe.h"
#include "pipeline/lock_biases.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

GateRule rule_of(const SafetyLock& lock, const ApplyOptions& options) {
  if (!lock.gate() && (options.gate_threshold || options.gate_ramp != 0)) {
    throw Error({.code = "arg.gate",
                 .where = "apply_lock",
                 .expected = "a lock with a gate, whose threshold or ramp can be set",
                 .found = "one without",
                 .hint = "extract --gate makes one"});
  }
  GateRule rule{.threshold = lock.gate() ? lock.gate()->threshold : GateRule().threshold,
                .ramp = options.gate_ramp};
  rule.threshold = options.gate_threshold.value_or(rule.threshold);
  check_rule(rule);
  return rule;
}

}  // namespace

AppliedLock apply_lock(const CausalLM& model, const SafetyLock& lock, const ApplyOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const Strength strength = options.alpha ? lock.strength(*options.alpha) : lock.default_strength();
  const GateRule rule = rule_of(lock, options);
  lock.check_fits(model.config());
  auto interventions = std::make_shared<Interventions>();
  interventions->strengths = {strength};
  interventions->alpha_max = lock.alpha_max();
  interventions->biases = lock_biases(model, lock.heads());
  interventions->rule = rule;
  if (lock.gate() && options.conditional)
    interventions->gate = std::make_shared<const GateProbe>(*lock.gate(), model.device());
  HookHandle handle = model.set_default_interventions(interventions);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return {std::move(handle), std::move(interventions), seconds};
}

}  // namespace safetylock
