#include "pipeline/evaluate/request_interventions.h"

#include <map>

#include "engine/request_strength.h"
#include "safetylock/read_gate.h"

namespace safetylock {

std::optional<Interventions> request_interventions(const CausalLM& model,
                                                   const std::optional<Strength>& asked) {
  const auto lock = model.default_interventions();
  const Strength strength = request_strength(asked, lock.get());
  if (lock == nullptr) return std::nullopt;
  return Interventions{.biases = lock->biases, .strengths = {strength}, .alpha_max = lock->alpha_max};
}

std::optional<Interventions> prompt_interventions(const CausalLM& model,
                                                  const std::vector<std::string>& prompts,
                                                  const EvaluateOptions& options) {
  std::optional<Interventions> added = request_interventions(model, options.strength);
  if (!added || !added->active() || !options.conditional || model.default_interventions()->gate == nullptr)
    return added;
  std::map<std::string, double> shares;  // each prompt is read once
  std::vector<GenerateRequest> requests;
  for (const std::string& prompt : prompts) {
    if (shares.emplace(prompt, 1).second) requests.push_back({.messages = {{"user", prompt}}});
  }
  const std::vector<GateReading> readings = read_gate(model, requests,
                                                      {.batch_size = options.batch_size,
                                                       .system = options.system,
                                                       .trust_special_tokens = options.trust_special_tokens});
  for (size_t i = 0; i < requests.size(); ++i)
    shares[requests[i].messages.front().content] = readings[i].share;
  const double alpha = added->strengths.front().alpha();
  added->strengths.clear();
  for (const std::string& prompt : prompts) added->strengths.emplace_back(alpha * shares.at(prompt));
  return added;
}

}  // namespace safetylock
