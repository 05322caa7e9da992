#include "pipeline/lock_biases.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "pipeline/output_bias.h"

namespace safetylock {

std::map<std::int64_t, at::Tensor> lock_biases(const CausalLM& model, std::span<const HeadDirection> heads) {
  std::map<std::int64_t, std::vector<HeadDirection>> by_layer;
  for (const HeadDirection& head : heads) by_layer[head.id.layer].push_back(head);
  std::map<std::int64_t, at::Tensor> biases;
  std::vector<std::int64_t> layers;
  for (const auto& [layer, locked] : by_layer) {
    layers.push_back(layer);
    biases[layer];
  }
  const auto number = static_cast<std::int64_t>(layers.size());
  const std::int64_t together = model.device().is_cpu() ? 1 : std::max<std::int64_t>(1, number);
  at::parallel_for(0, number, together, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t layer = layers[static_cast<size_t>(i)];
      biases.at(layer) = output_bias(model.o_proj_weight(layer), by_layer.at(layer));
    }
  });
  return biases;
}

}  // namespace safetylock
