// What a forward pass adds to the model's own computation: one vector a layer, with a strength for each
// request.
//
// Thread rule: a value type, not changed by the passes that use it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "safetylock/gate.h"
#include "safetylock/strength.h"

namespace safetylock {

/// A gate with its weights on a model's device: apply_lock makes it.
class GateProbe;

/// After o_proj of layer l, row t of request q gets strength(q) * biases[l]. Strength is per request, never
/// per model: rows of one batch may differ, and a request with strength 0 is computed as if nothing were set.
struct Interventions {
  /// layer -> W_o d_l, what to add after o_proj per unit of strength: [E] float32 on the model's device.
  std::map<std::int64_t, at::Tensor> biases;
  /// One per request of the call, or a single one for all of them.
  std::vector<Strength> strengths = {Strength()};
  /// The largest strength that a request may ask for: the lock's alpha_max.
  double alpha_max = Strength::kMax;
  /// A conditional lock: the strengths hold for requests on whose prompt this opens. Nothing: for all.
  std::shared_ptr<const GateProbe> gate = {};
  GateRule rule = {};  ///< of the gate
  /// Reads the replies to requests on which the gate stayed closed. Nothing: the prompt alone decides.
  std::shared_ptr<const GateProbe> reply_gate = {};
  GateRule reply_rule = {};  ///< of the reply gate

  bool active() const noexcept {
    if (biases.empty()) return false;
    for (const Strength& s : strengths) {
      if (!s.is_zero()) return true;
    }
    return false;
  }
};

}  // namespace safetylock
