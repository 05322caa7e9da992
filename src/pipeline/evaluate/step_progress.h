// Progress of a measurement that is counted in whole items.
#pragma once

#include <string>

#include "safetylock/error.h"
#include "safetylock/progress.h"

namespace safetylock {

/// Tells `callback`, which may be empty; throws run.interrupted when it says to stop before the end.
inline void report_step(const ProgressCallback& callback, const std::string& stage, size_t done, size_t total,
                        const std::string& unit) {
  if (!callback) return;
  const Progress progress{.stage = stage,
                          .done = static_cast<std::int64_t>(done),
                          .total = static_cast<std::int64_t>(total),
                          .unit = unit};
  if (!callback(progress) && done < total) {
    throw Error({.code = "run.interrupted",
                 .where = stage,
                 .found = std::to_string(done) + " of " + std::to_string(total) + " " + unit + " finished"});
  }
}

}  // namespace safetylock
