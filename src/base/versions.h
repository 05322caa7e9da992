// The libraries that the core was built with.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace safetylock {

/// Name and version: compiler, C++ libraries as compiled, C libraries as found at run time.
std::vector<std::pair<std::string, std::string>> core_versions();

}  // namespace safetylock
