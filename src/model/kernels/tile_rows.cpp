#include "model/kernels/tile_rows.h"

#if defined(SAFETYLOCK_TILES)
#include <bit>
#include <cstring>

#include "model/kernels/lane_transpose.h"

// As in cpu_linear.cpp: everything that passes vectors is inlined, and GCC bug 105593.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace safetylock {
namespace {

using Lanes = float __attribute__((vector_size(64)));

[[SAFETYLOCK_AVX512]] void pack_tile(const at::BFloat16* x, std::int64_t rows, std::int64_t in, float* to) {
  Lanes pairs[kTileSide] = {};
  for (std::int64_t r = 0; r < std::min(kTileSide, rows); ++r)
    std::memcpy(&pairs[r], x + r * in, sizeof pairs[r]);
  transpose(pairs);
  std::memcpy(to, pairs, sizeof pairs);
}

/// Sums [16 kColumns columns][16 rows of x] to y[rows][16 kColumns columns]. Two columns of a row, rounded,
/// are 32 bits of the transposed block: half the work of transposing the sums.
template <int kColumns, bool kBiased>
[[SAFETYLOCK_AVX512]] void finish(const RowWriter& p, const float* sums, std::int64_t row,
                                  std::int64_t column) {
  constexpr int kPairs = kColumns * kTileSide / 2;
  Lanes pairs[kTileSide] = {};
#pragma GCC unroll 16
  for (int c = 0; c < kPairs; ++c) {
    Lanes even, odd;
    std::memcpy(&even, sums + 2 * c * kTileSide, sizeof even);
    std::memcpy(&odd, sums + (2 * c + 1) * kTileSide, sizeof odd);
    if constexpr (kBiased) {
      even += static_cast<float>(p.bias[column + 2 * c]);
      odd += static_cast<float>(p.bias[column + 2 * c + 1]);
    }
    pairs[c] = std::bit_cast<Lanes>(interleaved(even, odd));
  }
  transpose(pairs);
  const std::int64_t rows = std::min(kTileSide, p.rows - row);
#pragma GCC unroll 16
  for (std::int64_t r = 0; r < kTileSide; ++r) {
    if (r >= rows) break;
    std::memcpy(p.y + (row + r) * p.out + column, &pairs[r], 4 * kPairs);
  }
}

}  // namespace

void pack_rows(const at::BFloat16* x, std::int64_t rows, std::int64_t in, PackedRows& packed) {
  packed.reserve(rows, in);
  const std::int64_t blocks = (rows + kTileSide - 1) / kTileSide, deep = packed.deep;
  at::parallel_for(0, blocks * deep, 256, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t) {
      const std::int64_t row = t / deep * kTileSide, k = t % deep;
      pack_tile(x + row * in + k * kTileDepth, rows - row, in, packed.at(t / deep, k));
    }
  });
}

void RowWriter::write(const MadeSums& made, std::int64_t step) const {
  const float* const sums = made.at(step);
  const std::int64_t row = (made.block + step) * kTileSide, column = made.column;
  if (bias == nullptr) {
    made.columns == 2 ? finish<2, false>(*this, sums, row, column)
                      : finish<1, false>(*this, sums, row, column);
  } else {
    made.columns == 2 ? finish<2, true>(*this, sums, row, column) : finish<1, true>(*this, sums, row, column);
  }
}

}  // namespace safetylock
#endif
