// Control vectors: what llama.cpp and steering tools add at the end of a layer, at every token. A lock acts
// before the MLP of its layer, so this is an approximation of it: that MLP does not see what is added.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bake/model_tensors.h"
#include "safetylock/lock.h"
#include "safetylock/strength.h"

namespace safetylock {

struct ControlVector {
  std::string model_hint;                                 ///< llama.cpp's name of the architecture
  std::map<std::int64_t, std::vector<float>> directions;  ///< layer -> W_o d times the strength, [E]
  bool without_layer_0 = false;  ///< the lock holds heads there, which the format cannot
};

/// Throws Error bind.model; bind.export where the family puts a norm between o_proj and the residual stream,
/// where llama.cpp does not know the family, or where all locked heads are in layer 0; and what lock_bias
/// throws.
ControlVector make_control_vector(const ModelTensors& model, const SafetyLock& lock, Strength strength);

/// How far it is from the lock itself, as it is written into the file.
struct ControlVectorLabel {
  std::string description;  ///< for people
  double largest_logit_gap = 0;
  double mean_kl = 0;  ///< nats a token, KL(lock || control vector)
};

/// A GGUF file: general.architecture "controlvector", tensors direction.<layer> F32 [E].
std::string control_vector_gguf(const ControlVector& vector, const SafetyLock& lock, Strength strength,
                                const ControlVectorLabel& label);

}  // namespace safetylock
