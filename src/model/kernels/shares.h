// Work for whichever thread is done with what it had: threads are seldom equally fast.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace safetylock {

/// Multiplications below which handing work to another thread costs more than it saves.
inline constexpr std::int64_t kWorkPerThread = 1 << 17;

/// Units [0, units) in shares of up to `most`: large ones while there is much left, and small ones at the
/// end, so that threads end together. For any number of threads at once.
class Shares {
 public:
  struct Share {
    std::int64_t begin, number;  ///< nothing left: units, 0
  };

  Shares(std::int64_t units, std::int64_t threads, std::int64_t most)
      : units_(units), per_share_(3 * threads), most_(most) {}

  Share take() {
    std::int64_t begin = taken_.load(), number = 0;
    do {
      number = std::min(most_, (units_ - begin + per_share_ - 1) / per_share_);
    } while (!taken_.compare_exchange_weak(begin, begin + number));
    return {.begin = begin, .number = number};
  }

 private:
  std::int64_t units_, per_share_, most_;
  std::atomic<std::int64_t> taken_ = 0;
};

}  // namespace safetylock
