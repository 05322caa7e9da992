// What a lock adds after o_proj in each locked layer of a loaded model.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>

#include "safetylock/causal_lm.h"
#include "safetylock/lock.h"

namespace safetylock {

/// layer -> W_o d over its `heads`, which the model has, per unit of strength: [E] float32 on its device.
std::map<std::int64_t, at::Tensor> lock_biases(const CausalLM& model, std::span<const HeadDirection> heads);

}  // namespace safetylock
