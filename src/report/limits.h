// Sizes beyond which a result file is no result file.
#pragma once

#include <cstdint>

namespace safetylock::report {

inline constexpr std::int64_t kMostLayers = 1024;
inline constexpr std::int64_t kMostHeads = 1024;  ///< a layer
inline constexpr std::int64_t kMostGridPoints = 1024;
inline constexpr std::int64_t kMostDensities = 256;
inline constexpr std::int64_t kMostCells = 1024;

}  // namespace safetylock::report
