// Where the project keeps what it fetches, and the models that scripts/get_model.py fetches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace safetylock::cli {

struct PackagedModel {
  std::string name;     ///< as scripts/get_model.py takes it
  std::string path;     ///< where it is, or would be
  std::uint64_t bytes;  ///< that a whole one has
  bool present;         ///< a file of that size is there
  bool damaged;         ///< a file of another size is
};

/// $SAFETYLOCK_CACHE, else safetylock in $XDG_CACHE_HOME or ~/.cache.
std::string cache_folder();
/// In $SAFETYLOCK_MODELS, else in the cache folder's models/.
std::string models_folder();
std::vector<PackagedModel> packaged_models();

}  // namespace safetylock::cli
