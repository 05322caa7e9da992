// Upper bounds of what a config may claim, well above any published model.
#pragma once

#include <cstdint>

namespace safetylock::limits {

constexpr std::uint64_t kConfigBytes = std::uint64_t{1} << 20;            ///< of config.json and its like
constexpr std::uint64_t kTokenizerConfigBytes = std::uint64_t{64} << 20;  ///< which lists every added token
constexpr std::int64_t kLayers = 1'024;
constexpr std::int64_t kHeads = 4'096;
constexpr std::int64_t kHeadDim = 4'096;
constexpr std::int64_t kExtent = std::int64_t{1} << 24;   ///< hidden, intermediate and vocabulary sizes
constexpr std::int64_t kContext = std::int64_t{1} << 31;  ///< tokens

}  // namespace safetylock::limits
