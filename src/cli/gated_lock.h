// Locks that a command can only use with a gate.
#pragma once

#include <string>

#include "safetylock/lock.h"

namespace safetylock::cli {

/// The lock in the file `path` that `option` names. Throws as SafetyLock::load, and arg.gate when it has no
/// gate.
SafetyLock load_gated_lock(const std::string& path, const std::string& option);

}  // namespace safetylock::cli
