// The o_proj biases of a model beside the vectors of a lock.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "safetylock/verify.h"

namespace safetylock {

struct LayerBias {
  std::vector<double> bias;  ///< of the model minus the base's, [E]; empty: none
  std::vector<double> unit;  ///< W_o d, [E]; empty: no head of this layer is locked
  double error = 0;          ///< of the bias by its rounding, as a norm
};

struct BiasComparison {
  std::vector<LayerVerification> layers;
  std::optional<double> strength;    ///< least squares over all locked layers
  std::vector<std::string> reasons;  ///< empty: every layer is as it should be
  /// No locked layer has its vector, whatever the strength, and layers that are not locked have biases (or
  /// all are locked): what a model with biases of its own looks like.
  bool looks_like_own_biases = false;
};

/// All biases finite and of one length.
BiasComparison compare_biases(const std::vector<LayerBias>& layers, double expected_strength);

}  // namespace safetylock
