// What one run of evaluate is asked to do, and the files it does it with.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "cli/locked_model.h"
#include "safetylock/evaluate.h"
#include "safetylock/prompt_data.h"

namespace safetylock::cli {

struct EvaluateSetup {
  LockedModelOptions model;  ///< of a served model: `model` is its name there, or empty
  bool locked_only = false;
  std::string harmful, benign, lookalikes, text, choices;  ///< files; empty: not given
  std::string base;  ///< model under which replies are read; empty: none
  std::string judge, judge_model;
  std::string endpoint;
  std::string output;          ///< empty: none
  std::int64_t first = 0;      ///< 0: all
  std::int64_t timeout = 300;  ///< seconds for one request
  EvaluateOptions evaluate;
};

/// Throws arg.usage for options that do not go together.
void check_setup(const EvaluateSetup& setup);

struct EvaluateInputs {
  std::vector<std::pair<std::string, std::vector<std::string>>>
      sets;          ///< by name: harmful, benign, lookalikes
  std::string text;  ///< empty: none
  std::vector<ChoiceQuestion> choices;
  std::optional<SafetyLock> lock;
};

/// Reads all files before any model is loaded. Throws io.*, data.*, lock.*.
EvaluateInputs load_inputs(const EvaluateSetup& setup);

/// The settings as the result file shows them.
Json settings_json(const EvaluateSetup& setup);

/// All that decides the results, for the journal: settings, digests of the inputs, versions, and the weight
/// files by name, size and time of change.
Json subject_json(const EvaluateSetup& setup, const EvaluateInputs& inputs, const std::string& device,
                  const std::string& dtype);

}  // namespace safetylock::cli
