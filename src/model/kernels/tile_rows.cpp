#include "model/kernels/tile_rows.h"

#if defined(SAFETYLOCK_TILES)
#include <bit>
#include <cstring>

#include "model/kernels/bfloat16_lanes.h"
#include "model/kernels/lane_transpose.h"
#include "model/kernels/rms_norm.h"

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

/// sums += those `bytes` of y, rounded.
[[SAFETYLOCK_AVX512, gnu::always_inline]] inline void add_pairs(const at::BFloat16* y, std::size_t bytes,
                                                                Lanes& sums) {
  __m512i there = _mm512_setzero_si512();
  std::memcpy(&there, y, bytes);
  const Apart old = apart(there), added = apart(std::bit_cast<__m512i>(sums));
  sums = std::bit_cast<Lanes>(side_by_side(old.even + added.even, old.odd + added.odd));
}

/// Sums [16 kColumns columns][16 rows of x] to y[rows][16 kColumns columns]. Two columns of a row, rounded,
/// are 32 bits of the transposed block: half the work of transposing the sums. `kAdds`: they are added to y.
template <int kColumns, bool kBiased, bool kAdds>
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
    pairs[c] = std::bit_cast<Lanes>(side_by_side(even, odd));
  }
  transpose(pairs);
  const std::int64_t rows = std::min(kTileSide, p.rows - row);
#pragma GCC unroll 16
  for (std::int64_t r = 0; r < kTileSide; ++r) {
    if (r >= rows) break;
    at::BFloat16* const y = p.y + (row + r) * p.out + column;
    if constexpr (kAdds) add_pairs(y, 4 * kPairs, pairs[r]);
    std::memcpy(y, &pairs[r], 4 * kPairs);
    ask_for_line(y + 2 * kTileSide);  // the next columns'
  }
}

}  // namespace

void pack_rows(const at::BFloat16* x, const TileNorm& norm, std::int64_t rows, std::int64_t in,
               PackedRows& packed) {
  packed.reserve(rows, in);
  const std::int64_t blocks = (rows + kTileSide - 1) / kTileSide, deep = packed.deep;
  at::parallel_for(
      0, blocks, std::max<std::int64_t>(1, 256 / deep), [&](std::int64_t begin, std::int64_t end) {
        static thread_local LineBuffer<at::BFloat16> room;
        for (std::int64_t block = begin; block < end; ++block) {
          const std::int64_t here = std::min(kTileSide, rows - block * kTileSide);
          const at::BFloat16* from = x + block * kTileSide * in;
          if (norm.weight != nullptr) {
            at::BFloat16* const normed = room.reserve(kTileSide * in);
            for (std::int64_t r = 0; r < here; ++r)
              normalise_row(from + r * in, norm.weight, normed + r * in, in, norm.eps, norm.unit_offset);
            from = normed;
          }
          for (std::int64_t k = 0; k < deep; ++k)
            pack_tile(from + k * kTileDepth, here, in, packed.at(block, k));
        }
      });
}

void RowWriter::write(const MadeSums& made, std::int64_t step) const {
  const float* const sums = made.at(step);
  const std::int64_t row = (made.block + step) * kTileSide, column = made.column;
  const auto with_columns = [&]<int kColumns>() {
    if (adds) {
      bias == nullptr ? finish<kColumns, false, true>(*this, sums, row, column)
                      : finish<kColumns, true, true>(*this, sums, row, column);
    } else {
      bias == nullptr ? finish<kColumns, false, false>(*this, sums, row, column)
                      : finish<kColumns, true, false>(*this, sums, row, column);
    }
  };
  made.columns == 2 ? with_columns.operator()<2>() : with_columns.operator()<1>();
}

}  // namespace safetylock
#endif
