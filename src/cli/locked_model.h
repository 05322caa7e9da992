// A model with what generate and evaluate put on it: an adapter and a lock.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "cli/options.h"
#include "safetylock/apply.h"
#include "safetylock/causal_lm.h"

namespace safetylock::cli {

struct LockedModelOptions {
  std::string model;
  std::string lock;     ///< empty: unlocked
  std::string adapter;  ///< empty: none
  std::optional<double> alpha;
  bool no_gate = false;                  ///< the lock acts on every request
  std::optional<double> gate_threshold;  ///< nothing: the lock's own
  double gate_ramp = 0;
  bool no_reread = false;                  ///< the prompt alone decides
  std::optional<double> reread_threshold;  ///< nothing: the lock's own

  ApplyOptions apply_options() const;
};

/// MODEL, --lock, --alpha, --adapter, and what is said about gates.
void add_locked_model_options(CLI::App& command, LockedModelOptions& options);

struct LockedModel {
  CausalLM model;
  std::optional<SafetyLock> lock;
  std::optional<AppliedLock> applied;  ///< present exactly when `lock` is
  double alpha = 0;                    ///< in force; 0 without a lock
  bool gated = false;                  ///< only requests that open the lock's gate get it

  /// "lock", "lock_digest", "alpha" and "apply_seconds", null where there is no lock.
  Json lock_json(const LockedModelOptions& options) const;
};

/// Throws arg.usage for options about gates without a lock, and for any beside --no-gate.
void check_gate_options(const LockedModelOptions& options);

/// "the gate opened (0.97): locked", for people.
std::string gate_text(const GateReading& reading);

/// Refuses a lock that does not fit before the weights are read. Says so when nothing is locked.
LockedModel load_locked_model(Session& session, const LockedModelOptions& options);

}  // namespace safetylock::cli
