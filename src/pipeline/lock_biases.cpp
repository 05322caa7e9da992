#include "pipeline/lock_biases.h"

#include <vector>

#include "pipeline/output_bias.h"

namespace safetylock {

std::map<std::int64_t, at::Tensor> lock_biases(const CausalLM& model, const SafetyLock& lock) {
  std::map<std::int64_t, std::vector<HeadDirection>> heads;
  for (const HeadDirection& head : lock.heads()) heads[head.id.layer].push_back(head);
  std::map<std::int64_t, at::Tensor> biases;
  for (const auto& [layer, locked] : heads)
    biases.emplace(layer, output_bias(model.o_proj_weight(layer), locked));
  return biases;
}

}  // namespace safetylock
