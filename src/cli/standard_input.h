// Standard input, as the value of an option or piece by piece.
#pragma once

#include <string>

#include "cli/session.h"

namespace safetylock::cli {

/// What standard input has next, waited for; empty at its end. Throws io.read, run.interrupted.
std::string read_standard_input_piece();

/// All of standard input, which `option` asked for; a note says so where a user would have to type it.
/// Throws `too_long` (more than `max_bytes`), io.read, run.interrupted.
std::string read_standard_input(Session& session, const std::string& option, size_t max_bytes,
                                const std::string& too_long);

/// The same for what must not be empty. Throws arg.prompt when it is, or too long.
std::string read_prompt_input(Session& session, const std::string& option, size_t max_bytes);

}  // namespace safetylock::cli
