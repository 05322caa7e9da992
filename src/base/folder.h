// Folders and the paths in them. Not std::filesystem, whose paths crash where memory runs out (libstdc++ 12).
#pragma once

#include <string>
#include <vector>

namespace safetylock {

/// Names of what is in `folder`, in order; none when it cannot be read.
std::vector<std::string> names_in(const std::string& folder);

/// `path` without links, dots and double slashes; empty when it leads nowhere.
std::string resolved_path(const std::string& path);

/// `path` from the root on, as it is spelled.
std::string absolute_path(const std::string& path);

}  // namespace safetylock
