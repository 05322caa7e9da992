// Transposition of as many vectors as they have lanes, in registers.
#pragma once

namespace safetylock {

/// V: eight or sixteen floats. Shuffling the first half of a pack of cards into the second, log2 of their
/// number times, transposes it. (No vector is passed by value, so that no call's ABI depends on the
/// instruction set.)
template <typename V>
[[gnu::always_inline]] inline void transpose(V (&rows)[sizeof(V) / sizeof(float)]) {
  constexpr int kLanes = sizeof(V) / sizeof(float);
  static_assert(kLanes == 8 || kLanes == 16);
  V mixed[kLanes];
#pragma GCC unroll 4
  for (int step = 1; step < kLanes; step *= 2) {
#pragma GCC unroll 8
    for (int r = 0; r < kLanes / 2; ++r) {
      const V &a = rows[r], &b = rows[r + kLanes / 2];
      if constexpr (kLanes == 8) {
        mixed[2 * r] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
        mixed[2 * r + 1] = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
      } else {
        mixed[2 * r] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        mixed[2 * r + 1] =
            __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) rows[r] = mixed[r];
  }
}

}  // namespace safetylock
