// Putting a SafetyLock on a model: step 6 of the method.
#pragma once

#include <optional>

#include "safetylock/causal_lm.h"
#include "safetylock/lock.h"

namespace safetylock {

struct ApplyOptions {
  /// Nothing: the lock's default strength. 0: unlocked (the computation is skipped, not done with zeros).
  /// Above the lock's alpha_max: Error arg.alpha.
  std::optional<double> alpha = {};
  /// Of a lock with a gate: false has it act on every request, as if there were none.
  bool conditional = true;
  std::optional<double> gate_threshold = {};  ///< nothing: the lock's own; a probability above 0, below 1
  double gate_ramp = 0;                       ///< GateRule::ramp
  /// Of a lock with a gate of replies: false has the prompt alone decide.
  bool reread = true;
  std::optional<double> reread_threshold = {};  ///< of the gate of replies; as gate_threshold
};

/// A lock in force on a model. Undone when destroyed; afterwards the model's outputs are bit-equal to before.
class [[nodiscard]] AppliedLock {
 public:
  AppliedLock(AppliedLock&&) noexcept = default;
  AppliedLock& operator=(AppliedLock&&) noexcept = default;

  const Interventions& interventions() const noexcept { return *interventions_; }
  double seconds() const noexcept { return seconds_; }  ///< it took to apply
  void remove() noexcept { handle_.remove(); }

 private:
  friend AppliedLock apply_lock(const CausalLM&, const SafetyLock&, const ApplyOptions&);
  AppliedLock(HookHandle handle, std::shared_ptr<const Interventions> interventions, double seconds)
      : handle_(std::move(handle)), interventions_(std::move(interventions)), seconds_(seconds) {}

  HookHandle handle_;
  std::shared_ptr<const Interventions> interventions_;
  double seconds_ = 0;
};

/// One added vector a layer: W_o (of this, fine-tuned, model) times the lock's displacement, in double,
/// rounded once to float32. A lock with a gate reads each prompt first, and acts only on requests that
/// open it, or whose reply opens the gate of replies. Throws bind.model when architecture or dimensions
/// differ, arg.alpha, arg.gate (a threshold or ramp out of range, or one given to a lock without a gate),
/// lock.state when a lock is on already.
AppliedLock apply_lock(const CausalLM& model, const SafetyLock& lock, const ApplyOptions& options = {});

}  // namespace safetylock
