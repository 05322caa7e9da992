// Upper bounds of what a config may claim, well above any published model.
#pragma once

#include <cstdint>

namespace safetylock::limits {

constexpr std::int64_t kLayers = 1'024;
constexpr std::int64_t kHeads = 4'096;
constexpr std::int64_t kHeadDim = 4'096;
constexpr std::int64_t kExtent = std::int64_t{1} << 24;   ///< hidden, intermediate and vocabulary sizes
constexpr std::int64_t kContext = std::int64_t{1} << 31;  ///< tokens

}  // namespace safetylock::limits
