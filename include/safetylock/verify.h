// Whether a model is locked.
//
// Core only: links no libtorch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "safetylock/bake.h"
#include "safetylock/lock.h"

namespace safetylock {

enum class LockVerdict { locked, not_locked, cannot_tell };

/// "locked", "not locked", "cannot tell".
std::string to_string(LockVerdict verdict);

struct VerifyOptions {
  /// The strength it should have; nothing: the lock's default.
  std::optional<double> alpha = {};
  /// The model before it was locked, for one that had o_proj biases of its own; empty: it had none.
  std::string base = {};
  /// The adapter it is served with; empty: none.
  std::string adapter = {};
};

/// What stands in the o_proj bias of one layer, b, beside W_o d of the lock, u.
struct LayerVerification {
  std::int64_t layer = 0;
  bool locked = false;  ///< the lock has heads in this layer
  double strength = 0;  ///< least-squares alpha of b against u; 0 where the layer is not locked
  double residual = 0;  ///< |b - strength * u| / |strength * u|; 0 where either is 0
  std::string problem;  ///< empty: as it should be
};

struct VerifyReport {
  LockVerdict verdict = LockVerdict::cannot_tell;
  double expected_strength = 0;
  std::optional<double> measured_strength;  ///< least squares over all locked layers; nothing: not measured
  std::vector<std::string> reasons;         ///< why it is not locked, or why that cannot be told
  std::vector<LayerVerification> layers;
  std::vector<EngineVerdict> engines;  ///< that add the bias, by class; empty when not locked
};

/// From the weights of a Hugging Face folder or a GGUF file: whether its o_proj biases are this lock at this
/// strength, and whether engines would read them. Finds biases that are dropped, weaker, stronger, of the
/// other sign, in another layer, or of another lock; a config that leaves them unread; missing q, k and v
/// biases; NaN. Throws what opening the files throws; arg.alpha; lora.*.
VerifyReport verify_lock(const std::string& path, const SafetyLock& lock, const VerifyOptions& options = {});

}  // namespace safetylock
