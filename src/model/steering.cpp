#include "model/steering.h"

#include <algorithm>

#include "safetylock/error.h"

namespace safetylock {

void check_interventions(const Interventions& interventions, std::int64_t layers, std::int64_t hidden_size,
                         at::Device device) {
  for (const auto& [layer, bias] : interventions.biases) {
    const std::string where = "interventions, layer " + std::to_string(layer);
    if (layer < 0 || layer >= layers) {
      throw Error({.code = "arg.range",
                   .where = where,
                   .expected = "a layer in [0, " + std::to_string(layers) + ")",
                   .found = std::to_string(layer)});
    }
    if (!bias.defined() || bias.dim() != 1 || bias.size(0) != hidden_size ||
        bias.scalar_type() != at::kFloat || bias.device() != device) {
      throw Error({.code = "arg.shape",
                   .where = where,
                   .expected = "[" + std::to_string(hidden_size) + "] float32 on " + device.str(),
                   .found = bias.defined() ? bias.toString() + " of " + std::to_string(bias.numel()) +
                                                 " values on " + bias.device().str()
                                           : "an undefined tensor"});
    }
    if (!at::isfinite(bias).all().item<bool>()) {
      throw Error({.code = "num.nonfinite", .where = where, .expected = "finite values"});
    }
  }
}

Steering::Steering(const Interventions& interventions, const at::Tensor& requests, std::int64_t num_requests,
                   at::ScalarType dtype) {
  if (!interventions.active()) return;
  const std::vector<Strength>& strengths = interventions.strengths;
  if (strengths.size() != 1 && static_cast<std::int64_t>(strengths.size()) != num_requests) {
    throw Error(
        {.code = "arg.shape",
         .where = "interventions.strengths",
         .expected = "one strength, or one for each of " + std::to_string(num_requests) + " sequences",
         .found = std::to_string(strengths.size())});
  }
  const double first = strengths.front().alpha();
  const bool alike =
      std::all_of(strengths.begin(), strengths.end(), [&](Strength s) { return s.alpha() == first; });
  for (const auto& [layer, bias] : interventions.biases)
    vectors_[layer] = alike ? (bias * first).to(dtype) : bias.contiguous();
  if (alike || vectors_.empty()) return;
  std::vector<float> alphas;
  for (const Strength s : strengths) alphas.push_back(static_cast<float>(s.alpha()));
  row_strengths_ =
      at::tensor(alphas).index_select(0, requests).unsqueeze(1).to(vectors_.begin()->second.device());
}

RowTerm Steering::term(std::int64_t layer) const {
  const auto found = vectors_.find(layer);
  if (found == vectors_.end()) return {};
  return {.vector = found->second, .strengths = row_strengths_};
}

}  // namespace safetylock
