// The name of one attention head.
#pragma once

#include <compare>
#include <cstdint>

namespace safetylock {

/// 0-based layer and query head. Ordered by layer, then head.
struct HeadId {
  std::int64_t layer = 0;
  std::int64_t head = 0;
  auto operator<=>(const HeadId&) const = default;
};

}  // namespace safetylock
