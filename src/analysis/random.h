// Random numbers that are the same with every standard library: the engine's output is fixed by the C++
// standard, the distributions' is not.
#pragma once

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace safetylock {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  /// Uniform in [0, n), n > 0.
  std::uint64_t below(std::uint64_t n) {
    const std::uint64_t reject_below = (0 - n) % n;  // 2^64 mod n: what would make small values likelier
    std::uint64_t x = engine_();
    while (x < reject_below) x = engine_();
    return x % n;
  }

  /// Fisher-Yates.
  void shuffle(std::vector<std::int64_t>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace safetylock
