// operator new of this program: counts what is allocated, and fails when told to.
#pragma once

#include <cstddef>
#include <limits>

namespace safetylock::test {

/// Makes allocations of this thread fail while it lives: the `first`th, counted from 0, and `count` - 1 after
/// it, save those inside sentencepiece's library. By default only counts them.
class FailingNew {
 public:
  static constexpr size_t kNever = std::numeric_limits<size_t>::max();

  explicit FailingNew(size_t first = kNever, size_t count = 1);
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  static size_t asked();   ///< allocations since the last one began, failed ones included
  static bool happened();  ///< whether one failed since then
};

/// Allocations of the whole program that were not freed.
std::ptrdiff_t live_allocations();

}  // namespace safetylock::test
