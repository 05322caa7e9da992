// What the commands that read prompts and pairs have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "safetylock/evaluate.h"
#include "safetylock/prompt_data.h"

namespace safetylock::cli {

/// --max-new-tokens, --batch, --system, --trust-special-tokens.
void add_evaluate_options(CLI::App& command, EvaluateOptions& options);

/// The prompts of `file`, or the first `first` of them; 0: all.
std::vector<std::string> load_first_prompts(const std::string& file, std::int64_t first);

/// The pairs of `file`, or the first `first` of them; 0: all.
std::vector<PromptPair> load_first_pairs(const std::string& file, std::int64_t first);

}  // namespace safetylock::cli
