// generate_batch for callers inside the library that also look at the first step.
#pragma once

#include <functional>
#include <vector>

#include "safetylock/generate.h"

namespace safetylock {

/// The logits [V] float32, on the model's device, from which the first token of a reply is chosen.
using FirstLogits = std::function<void(size_t request, const at::Tensor& logits)>;

std::vector<Generation> generate_observed(const CausalLM& model, const std::vector<GenerateRequest>& requests,
                                          const GenerateOptions& options, const FirstLogits& on_first_logits);

}  // namespace safetylock
