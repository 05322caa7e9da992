#include "pipeline/evaluate/request_interventions.h"

#include "engine/request_strength.h"

namespace safetylock {

std::optional<Interventions> request_interventions(const CausalLM& model,
                                                   const std::optional<Strength>& asked) {
  const auto lock = model.default_interventions();
  const Strength strength = request_strength(asked, lock.get());
  if (lock == nullptr) return std::nullopt;
  return Interventions{.biases = lock->biases, .strengths = {strength}};
}

}  // namespace safetylock
