// What happens when memory runs out while a file is read: an Error like any other, nothing half made.
#pragma once

#include <new>
#include <string_view>

namespace safetylock {

/// Throws Error resource.memory naming `file`, which is escaped here. Needs no memory itself: where there is
/// none left for the name, the error goes without.
[[noreturn]] void throw_out_of_memory(std::string_view file);

/// Runs `f`, which reads `file`; std::bad_alloc becomes Error resource.memory.
template <typename F>
auto naming_memory_errors(std::string_view file, F&& f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    throw_out_of_memory(file);
  }
}

}  // namespace safetylock
