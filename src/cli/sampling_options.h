// The options that say how a reply is decoded.
#pragma once

#include "cli/options.h"
#include "safetylock/generate.h"

namespace safetylock::cli {

/// --temperature, --top-k, --top-p, --min-p, --repetition-penalty, --seed.
void add_sampling_options(CLI::App& command, SamplingOptions& sampling);

/// Call it when the command line is read. Throws Error arg.usage for an option that has no effect without a
/// temperature.
void check_sampling_options(const CLI::App& command, const SamplingOptions& sampling);

}  // namespace safetylock::cli
