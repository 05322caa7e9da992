// Standard input as the value of an option.
#pragma once

#include <string>

#include "cli/session.h"

namespace safetylock::cli {

/// All of standard input, which `option` asked for; a note says so where a user would have to type it.
/// Throws arg.prompt (empty, more than `max_bytes`), io.read, run.interrupted.
std::string read_standard_input(Session& session, const std::string& option, size_t max_bytes);

}  // namespace safetylock::cli
