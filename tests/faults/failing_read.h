// pread of this program: reads as it is told to.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

namespace safetylock::test {

/// What the next pread does: fails with `error`, or reads at most `bytes`.
struct ReadFault {
  int error = 0;
  size_t bytes = SIZE_MAX;
};

/// While it lives, `plan` is asked before each pread of any thread, with its number from 0.
class FailingRead {
 public:
  explicit FailingRead(std::function<ReadFault(size_t number)> plan);
  ~FailingRead();
  FailingRead(const FailingRead&) = delete;
  FailingRead& operator=(const FailingRead&) = delete;

  static size_t calls();  ///< since the last one began
};

}  // namespace safetylock::test
