// Measured values as the journal keeps them.
#pragma once

#include <vector>

#include "base/json.h"
#include "safetylock/evaluate.h"
#include "safetylock/utility.h"

namespace safetylock::cli {

/// Reply, margin and what came with them; prompt and outcome are known otherwise.
Json to_record(const PromptResult& result);
PromptResult prompt_result(const Json& record, const std::string& prompt);

Json to_record(const WindowScore& score);
WindowScore window_score(const Json& record);

Json to_record(const ChoiceResult& result);
ChoiceResult choice_result(const Json& record);

template <typename Value>
std::optional<Value> optional_value(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<Value>());
}

}  // namespace safetylock::cli
