// Which variables a block hides before it sets them.
//
// Jinja decides at compile time where a variable lives. A block that sets a variable unconditionally, before
// it reads it outside inner blocks, owns it from the block's start: inner blocks that come earlier see it
// undefined, even where the caller passed a value of that name.
#pragma once

#include "text/templates/ast.h"

namespace safetylock::jinja {

/// Fills `late_names` of `template_body` and of every block inside that has variables of its own.
void find_late_names(Block& template_body);

}  // namespace safetylock::jinja
