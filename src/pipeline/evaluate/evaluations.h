// Several evaluations as one job, with one progress for all.
#pragma once

#include <string>

#include "safetylock/evaluate.h"

namespace safetylock {

class Evaluations {
 public:
  /// `total`: prompts of all of them together.
  Evaluations(std::string stage, size_t total, ProgressCallback on_progress)
      : stage_(std::move(stage)),
        total_(static_cast<std::int64_t>(total)),
        on_progress_(std::move(on_progress)) {}

  /// As evaluate(); on_progress of the options is not used.
  Evaluation next(const CausalLM& model, const std::vector<std::string>& prompts, EvaluateOptions options) {
    options.on_progress = {};
    if (on_progress_) options.on_progress = [this](const Progress& progress) { return report(progress); };
    Evaluation evaluation = evaluate(model, prompts, options);
    finished_ += static_cast<std::int64_t>(prompts.size());
    return evaluation;
  }

 private:
  bool report(Progress progress) const {
    progress.stage = stage_;
    progress.done += finished_;
    progress.total = total_;
    return on_progress_(progress);
  }

  std::string stage_;
  std::int64_t total_, finished_ = 0;
  ProgressCallback on_progress_;
};

}  // namespace safetylock
