// What a lock adds after o_proj, from a model's files.
#pragma once

#include <cstdint>
#include <vector>

#include "bake/model_tensors.h"
#include "formats/lora.h"
#include "safetylock/lock.h"

namespace safetylock {

/// W_o d of `layer` per unit of alpha, [E], in double: over the layer's locked heads the sum of sigma * W_o
/// direction, from those heads' columns alone. With an `adapter` (or nullptr) W_o is the adapted one,
/// replaced by the adapter or W_o + scale * B A, taken as scale * B (A d). Throws model.tensor_missing,
/// model.tensor_shape, num.nonfinite (layer), io.*.
std::vector<double> lock_bias(const ModelTensors& model, const SafetyLock& lock, std::int64_t layer,
                              const LoraAdapter* adapter);

}  // namespace safetylock
