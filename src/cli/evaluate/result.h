// The result file of evaluate, schema safetylock.evaluate/2, and its tables.
#pragma once

#include <string>

#include "base/json.h"
#include "cli/evaluate/job.h"

namespace safetylock::cli {

struct EvaluateResult {
  Json json;
  std::string text;  ///< tables
};

EvaluateResult result_of(Session& session, const EvaluateSetup& setup, const EvaluateInputs& inputs,
                         const EvaluatedJob& job);

}  // namespace safetylock::cli
