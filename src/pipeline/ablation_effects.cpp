#include <algorithm>

#include "pipeline/evaluate/evaluations.h"
#include "pipeline/phased_lock.h"
#include "safetylock/ablation.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

void check(const CausalLM& model, const std::vector<VariantLock>& locks, const EvaluateOptions& options) {
  if (model.default_interventions() != nullptr) {
    throw Error({.code = "lock.state",
                 .where = "measure_variants",
                 .expected = "a model without a lock",
                 .found = "a lock applied already"});
  }
  // Beyond its original context such a model reads prompt and reply anew, as one sequence.
  const bool one_phase = std::any_of(locks.begin(), locks.end(),
                                     [](const VariantLock& l) { return l.variant.phase != Phase::both; });
  if (one_phase && !options.margin_only && model.config().rope_scaling.type == RopeScaling::Type::longrope) {
    throw Error({.code = "arg.usage",
                 .where = "measure_variants: phase",
                 .expected = "margins alone, or locks that act in both phases, on a longrope model",
                 .found = "replies of a lock that acts in one phase"});
  }
}

}  // namespace

AblationEffects measure_variants(const CausalLM& model, const std::vector<VariantLock>& locks,
                                 const std::vector<std::string>& harmful,
                                 const std::vector<std::string>& benign, const EvaluateOptions& options,
                                 const std::function<void(size_t, const VariantEffect&)>& on_variant) {
  check(model, locks, options);
  Evaluations evaluations("measuring variants", (locks.size() + 1) * (harmful.size() + benign.size()),
                          options.on_progress);
  const auto measure = [&](const std::vector<std::string>& prompts) {
    return evaluations.next(model, prompts, options);
  };
  AblationEffects effects{.harmful = measure(harmful), .benign = measure(benign), .variants = {}};
  for (const VariantLock& lock : locks) {
    const PhasedLock applied(model, lock.heads, lock.alpha, lock.variant.phase);
    VariantEffect effect{
        .harmful = measure(harmful), .benign = measure(benign), .harmful_shift = {}, .benign_shift = {}};
    effect.harmful_shift = compare(effects.harmful, effect.harmful).margin_shift;
    effect.benign_shift = compare(effects.benign, effect.benign).margin_shift;
    if (on_variant) on_variant(effects.variants.size(), effect);
    effects.variants.push_back(std::move(effect));
  }
  return effects;
}

}  // namespace safetylock
