// How long-running calls report what they do, and how a caller stops them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace safetylock {

struct Progress {
  std::string stage;   ///< what is being done, e.g. "reading weights"
  std::int64_t done;   ///< units finished, 0 <= done <= total
  std::int64_t total;  ///< units in all; 0 when not known
  std::string unit;    ///< "layers", "pairs", "prompts", "bytes" ...
};

/// Called from the calling thread, now and then. Return false to stop: the call then throws Error
/// "run.interrupted" at its next safe point (a token or layer boundary) and leaves model and files as they
/// were.
using ProgressCallback = std::function<bool(const Progress&)>;

}  // namespace safetylock
