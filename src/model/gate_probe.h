// A gate made ready for a model, and its reading in a pass over prompts.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "model/hook_registry.h"
#include "model/packed_batch.h"
#include "model/prompt_places.h"
#include "safetylock/lock.h"

namespace safetylock {

class GateProbe {
 public:
  /// What is read of one layer at one position.
  struct Part {
    std::int64_t layer;
    GatePosition position;
    at::Tensor heads;    // [k] int64
    at::Tensor weights;  // [k * D] float32
  };

  /// `gate` fits the model (SafetyLock::check_fits).
  GateProbe(const Gate& gate, at::Device device);

  const std::vector<Part>& parts() const noexcept { return parts_; }
  float bias() const noexcept { return bias_; }

 private:
  std::vector<Part> parts_;  // by layer, then position
  float bias_;
};

/// One reading: made for a batch, it watches the pass over it.
class GateReader {
 public:
  /// Request i of the reading is segment i of `batch`, a whole prompt with its tokens in `places[i]`.
  GateReader(std::shared_ptr<const GateProbe> probe, const PackedBatch& batch,
             std::span<const PromptPlaces> places, at::Device device);

  /// `hooks` and behind them this one, which sees what they leave. To be used for one pass.
  HookSnapshot watching(const HookSnapshot& hooks) const;

  /// After the pass: the log-odds of each request; not a number where it lacks a position that the gate
  /// reads. Waits for the device.
  std::vector<double> scores() const;

 private:
  /// The rows that are read at one position: row, whose it is, and what it counts for.
  struct Rows {
    at::Tensor rows, owners;  // [R] int64
    at::Tensor shares;        // [R] float32
  };

  void read(std::int64_t layer, const at::Tensor& z) const;

  std::shared_ptr<const GateProbe> probe_;
  std::map<GatePosition, Rows> rows_;
  at::Tensor scores_;  // [S] float32
};

}  // namespace safetylock
