// Files that a subcommand writes at its end.
#pragma once

#include <string>

namespace safetylock::cli {

/// Throws Error io.write when `path` cannot be written: before an hour of work, not after it.
void check_can_write(const std::string& path);

}  // namespace safetylock::cli
