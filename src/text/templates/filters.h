// The two halves of the filters.
#pragma once

#include "text/templates/builtins.h"

namespace safetylock::jinja {

/// Filters of lists and mappings; null for other names.
Filter find_sequence_filter(std::string_view name);

}  // namespace safetylock::jinja
