// One run of bake_lock: what both kinds of model files share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bake/model_tensors.h"
#include "formats/checkpoint.h"
#include "formats/lora.h"
#include "safetylock/bake.h"

namespace safetylock {

struct BakeJob {
  std::string model;  ///< folder or file, hub caches resolved
  const SafetyLock& lock;
  std::string output;
  const BakeOptions& options;
  double alpha = 0;
  BakeReport report;

  /// Whether a head of this layer is locked.
  bool lock_holds(std::int64_t layer) const;

  /// Tells the caller how far a step is; throws run.interrupted where it asks to stop.
  void progress(const char* stage, std::int64_t done, std::int64_t total, const char* unit) const;

  /// The adapter of the options, proved to fit and to leave o_proj's bias alone; nothing without one.
  std::optional<LoraAdapter> load_adapter(const Checkpoint& base) const;

  /// alpha * W_o d plus the bias there is, for every layer: [L][E]. Layers without a locked head keep their
  /// bias, or get zeros. Fills the report's numbers.
  std::vector<std::vector<double>> biases(const ModelTensors& tensors, const LoraAdapter* adapter);

  /// The card: `existing` (a README.md, or empty) with a section about the lock.
  std::string card(const std::string& existing) const;
};

void bake_folder(BakeJob& job);
void bake_gguf(BakeJob& job);

}  // namespace safetylock
