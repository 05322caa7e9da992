// The JSON files of a model's folder.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace safetylock {

/// How errors name the file `name` of `folder`.
std::string model_file_label(const std::string& folder, const std::string& name);

/// Reads and parses a file of a model's folder. Throws what read_model_file and parse_json throw, and
/// io.wrong_format where the file is a web page, a git-lfs pointer or another thing that is often in its
/// place.
JsonTree read_model_json(const std::string& folder, const std::string& name, std::uint64_t max_bytes);

}  // namespace safetylock
