#include "pipeline/lock_biases.h"

#include <vector>

#include "pipeline/output_bias.h"

namespace safetylock {

std::map<std::int64_t, at::Tensor> lock_biases(const CausalLM& model, std::span<const HeadDirection> heads) {
  std::map<std::int64_t, std::vector<HeadDirection>> by_layer;
  for (const HeadDirection& head : heads) by_layer[head.id.layer].push_back(head);
  std::map<std::int64_t, at::Tensor> biases;
  for (const auto& [layer, locked] : by_layer)
    biases.emplace(layer, output_bias(model.o_proj_weight(layer), locked));
  return biases;
}

}  // namespace safetylock
