#include "pipeline/evaluate/request_interventions.h"

#include "engine/request_strength.h"

namespace safetylock {

std::optional<Interventions> request_interventions(const CausalLM& model,
                                                   const std::vector<std::optional<Strength>>& asked) {
  const auto lock = model.default_interventions();
  std::vector<Strength> strengths;
  for (const std::optional<Strength>& strength : asked)
    strengths.push_back(request_strength(strength, lock.get()));
  if (lock == nullptr) return std::nullopt;
  return Interventions{
      .biases = lock->biases, .strengths = std::move(strengths), .alpha_max = lock->alpha_max};
}

}  // namespace safetylock
