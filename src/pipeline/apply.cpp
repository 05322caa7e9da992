#include "safetylock/apply.h"

#include <chrono>

#include "model/gate_probe.h"
#include "pipeline/lock_biases.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

GateRule rule_of(const std::optional<Gate>& gate, std::optional<double> threshold, double ramp) {
  GateRule rule{.threshold = gate ? gate->threshold : GateRule().threshold, .ramp = ramp};
  rule.threshold = threshold.value_or(rule.threshold);
  check_rule(rule);
  return rule;
}

void check_gates(const SafetyLock& lock, const ApplyOptions& options) {
  if (!lock.gate() && (options.gate_threshold || options.gate_ramp != 0)) {
    throw Error({.code = "arg.gate",
                 .where = "apply_lock",
                 .expected = "a lock with a gate, whose threshold or ramp can be set",
                 .found = "one without",
                 .hint = "extract --gate makes one"});
  }
  if (!lock.reply_gate() && options.reread_threshold) {
    throw Error({.code = "arg.gate",
                 .where = "apply_lock",
                 .expected = "a lock with a gate of replies, whose threshold can be set",
                 .found = "one without",
                 .hint = "extract --gate --reread makes one"});
  }
}

}  // namespace

AppliedLock apply_lock(const CausalLM& model, const SafetyLock& lock, const ApplyOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const Strength strength = options.alpha ? lock.strength(*options.alpha) : lock.default_strength();
  check_gates(lock, options);
  const GateRule rule = rule_of(lock.gate(), options.gate_threshold, options.gate_ramp),
                 reply_rule = rule_of(lock.reply_gate(), options.reread_threshold, options.gate_ramp);
  lock.check_fits(model.config());
  auto interventions = std::make_shared<Interventions>();
  interventions->strengths = {strength};
  interventions->alpha_max = lock.alpha_max();
  interventions->biases = lock_biases(model, lock.heads());
  interventions->rule = rule;
  interventions->reply_rule = reply_rule;
  if (lock.gate() && options.conditional)
    interventions->gate = std::make_shared<const GateProbe>(*lock.gate(), model.device());
  if (lock.reply_gate() && options.conditional && options.reread)
    interventions->reply_gate = std::make_shared<const GateProbe>(*lock.reply_gate(), model.device());
  HookHandle handle = model.set_default_interventions(interventions);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return {std::move(handle), std::move(interventions), seconds};
}

}  // namespace safetylock
