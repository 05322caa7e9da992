// Which of some names was meant.
#pragma once

#include <cstddef>
#include <string_view>

namespace safetylock {

/// Insertions, deletions, substitutions and swaps of neighbours that lead from one to the other (optimal
/// string alignment), in bytes.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace safetylock
