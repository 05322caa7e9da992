// One result file -> a checked value. Which it is, its `schema` says.
#pragma once

#include <string>
#include <variant>

#include "base/json.h"
#include "report/results.h"

namespace safetylock::report {

using ResultFile = std::variant<Extraction, Evaluation, Transfer, Sweep>;

/// Reads the file at `path`. Throws as make_report (safetylock/report.h).
ResultFile read_result_file(const std::string& path);
/// The same from `text`; `file` labels errors and `name` is shown on the page.
ResultFile parse_result(const std::string& text, const std::string& file, const std::string& name);

// The four kinds. `version` is the number behind the slash of the schema.
Extraction read_extraction(const JsonObject& root, int version);
Evaluation read_evaluation(const JsonObject& root, int version);
Transfer read_transfer(const JsonObject& root);
Sweep read_sweep(const JsonObject& root, int version);

/// Answers of one model to one set, with the counts checked against the replies, where the file holds these.
PromptSet read_prompt_set(const JsonObject& object);

}  // namespace safetylock::report
