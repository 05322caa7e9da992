#include "base/out_of_memory.h"

#include "safetylock/error.h"

namespace safetylock {
namespace {

// Its texts are so short that copying them allocates nothing.
const Error kNameless({.code = "resource.memory", .expected = "enough memory"});

}  // namespace

void throw_out_of_memory(std::string_view file) {
  try {
    throw Error({.code = "resource.memory",
                 .file = escape_untrusted(file, 1000),
                 .expected = "enough memory",
                 .found = "an allocation failed",
                 .hint = "Close other programs, or use a machine with more memory"});
  } catch (const std::bad_alloc&) {
    throw kNameless;
  }
}

}  // namespace safetylock
