// Text marked safe. Templates write `x|tojson|safe` out of habit from HTML: there Jinja escapes what it
// prints, here only what is added to such text with +.
#pragma once

#include "text/templates/builtins.h"

namespace safetylock::jinja {

/// The filter `safe`.
Value mark_safe(Execution& run, const Value& input, const Arguments& arguments);

/// a + b where one or both are marked safe: the other is escaped as HTML, and the sum is marked safe.
Value add_safe(Execution& run, const Value& a, const Value& b);

/// template.unsupported when `value` is marked safe: what it would do to HTML is left out.
void refuse_safe(Execution& run, const Value& value, const char* operation);

}  // namespace safetylock::jinja
