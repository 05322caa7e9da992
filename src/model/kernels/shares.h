// Work for whichever thread is done with what it had: threads are seldom equally fast.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

namespace safetylock {

/// Multiplications below which handing work to another thread costs more than it saves.
inline constexpr std::int64_t kWorkPerThread = 1 << 17;

/// Units [0, units) of each of some parts, in shares of up to `most`: large ones while there is much left,
/// and small ones at the end, so that threads end together. For any number of threads at once.
class Shares {
 public:
  static constexpr std::int64_t kMostParts = 64;
  struct Share {
    std::int64_t part, begin, number;  ///< nothing left: number 0, begin at the end
  };

  Shares(std::int64_t units, std::int64_t threads, std::int64_t most, std::int64_t parts = 1)
      : units_(units), parts_(parts), per_share_((3 * threads + parts - 1) / parts), most_(most) {}

  /// Of the part `own`, or, where nothing is left of that, of the next that has some.
  Share take(std::int64_t own = 0) {
    for (std::int64_t i = 0; i < parts_; ++i) {
      const std::int64_t part = (own + i) % parts_;
      std::atomic<std::int64_t>& taken = taken_[static_cast<size_t>(part)];
      std::int64_t begin = taken.load(), number = 0;
      do {
        number = std::min(most_, (units_ - begin + per_share_ - 1) / per_share_);
      } while (!taken.compare_exchange_weak(begin, begin + number));
      if (number > 0) return {.part = part, .begin = begin, .number = number};
    }
    return {.part = own, .begin = units_, .number = 0};
  }

 private:
  std::int64_t units_, parts_, per_share_, most_;
  std::array<std::atomic<std::int64_t>, kMostParts> taken_ = {};
};

/// Rows from which on a thread has rows of its own: with fewer, reading the weights would cost more than it
/// saves, as every thread does.
inline constexpr std::int64_t kRowsOfThread = 128;

/// Rows in parts, for threads to have their own: about those that at::parallel_for gives each in other
/// kernels.
class RowParts {
 public:
  /// All parts begin at a whole `unit`.
  RowParts(std::int64_t rows, std::int64_t unit, std::int64_t threads)
      : rows_(rows),
        unit_(unit),
        threads_(threads),
        number_(std::clamp<std::int64_t>(rows / kRowsOfThread, 1, std::min(threads, Shares::kMostParts))) {}

  std::int64_t number() const { return number_; }
  std::int64_t begin(std::int64_t part) const {
    return part == number_ ? rows_ : rows_ / unit_ * part / number_ * unit_;
  }
  std::int64_t of_thread(std::int64_t thread) const { return thread * number_ / threads_; }

 private:
  std::int64_t rows_, unit_, threads_, number_;
};

}  // namespace safetylock
