#include "model/kernels/tile_linear.h"

#include "model/kernels/tiles.h"

#if defined(SAFETYLOCK_TILES)
#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "model/kernels/lane_transpose.h"
#endif

namespace safetylock {

#if defined(SAFETYLOCK_TILES)

// As in cpu_linear.cpp: everything that passes vectors is inlined, and GCC bug 105593.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace {

using Lanes = float __attribute__((vector_size(64)));

/// x as tiles, [rows / 16, in / 32] of them, with zeros for the rows that the last ones lack. In units of 32
/// bits, two values, each is a transposed block of x.
struct PackedRows {
  LineBuffer<float> room;
  const std::byte* tiles = nullptr;
  std::int64_t deep = 0;  // tiles along `in`

  const std::byte* at(std::int64_t block, std::int64_t k) const {
    return tiles + (block * deep + k) * kTileValues * static_cast<std::int64_t>(sizeof(at::BFloat16));
  }
};

[[SAFETYLOCK_AVX512]] void pack_tile(const TileProduct& p, std::int64_t block, std::int64_t k, float* to) {
  Lanes pairs[kTileSide] = {};
  const std::int64_t rows = std::min(kTileSide, p.rows - block * kTileSide);
  for (std::int64_t r = 0; r < rows; ++r)
    std::memcpy(&pairs[r], p.x + (block * kTileSide + r) * p.in + k * kTileDepth, sizeof pairs[r]);
  transpose(pairs);
  std::memcpy(to, pairs, sizeof pairs);
}

/// Multiplications below which handing work to another thread costs more than it saves.
constexpr std::int64_t kWorkPerThread = 1 << 20;
constexpr std::int64_t kTileFloats = kTileValues / 2;

void pack(const TileProduct& p, PackedRows& packed) {
  const std::int64_t blocks = (p.rows + kTileSide - 1) / kTileSide;
  packed.deep = p.in / kTileDepth;
  float* const to = packed.room.reserve(blocks * packed.deep * kTileFloats);
  packed.tiles = reinterpret_cast<const std::byte*>(to);
  at::parallel_for(0, blocks * packed.deep, 256, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t)
      pack_tile(p, t / packed.deep, t % packed.deep, to + t * kTileFloats);
  });
}

/// Asks for a line in the second-level cache. Not by __builtin_prefetch, for which g++ 12 takes a function
/// that does nothing else to have no effect, and leaves its calls out.
[[gnu::always_inline]] inline void ask_for_line(const at::BFloat16* at) {
  asm volatile("prefetcht1 %0" : : "m"(*at));
}

/// Sums [16 kColumns columns][16 rows of x] to y[rows][16 kColumns columns]. Two columns of a row, rounded,
/// are 32 bits of the transposed block: half the work of transposing the sums.
template <int kColumns, bool kBiased>
[[SAFETYLOCK_AVX512]] void finish(const TileProduct& p, const float* sums, std::int64_t row,
                                  std::int64_t column) {
  constexpr int kPairs = kColumns * kTileSide / 2;
  alignas(64) static constexpr std::uint16_t kInterleaved[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                                 21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                                 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i order = _mm512_load_si512(kInterleaved);
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
    const auto both = std::bit_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
    pairs[c] = std::bit_cast<Lanes>(_mm512_permutexvar_epi16(order, both));
  }
  transpose(pairs);
  const std::int64_t rows = std::min(kTileSide, p.rows - row);
#pragma GCC unroll 16
  for (std::int64_t r = 0; r < kTileSide; ++r) {
    if (r >= rows) break;
    std::memcpy(p.y + (row + r) * p.out + column, &pairs[r], 4 * kPairs);
  }
}

/// How far ahead of the sums weights are asked for, along their rows and from the end of these at the next
/// columns' beginning: a rows' worth of 9,000 values does not last until its turn.
constexpr std::int64_t kTilesAhead = 32;
/// Tiles along the depth after which many rows go on to the next block: so much of the columns' weights stays
/// in the caches for all blocks of rows. More often than needed costs more than it saves, as sums then wait.
constexpr std::int64_t kDepthAtOnce = 64;
/// Bytes of packed rows that stay in the second-level cache for all columns, beside their weights.
constexpr std::int64_t kRowBytesAtOnce = 1 << 20;

/// A part of the depth, and where the sums wait between two parts.
struct DepthPart {
  std::int64_t begin, end;  // in tiles
  float* sums;              // [blocks][kColumns] of the sums' tiles; unused where there is only one part
};

/// Weights are asked for ahead: 32 rows at once are more than the processor follows by itself. Where the rows
/// of x are a single block, along the rows of W; else each block asks for its share of the next columns.
template <int kColumns>
struct Ahead {
  static constexpr std::int64_t kRows = kColumns * kTileSide;
  bool along;
  std::int64_t first, last;  // of the rows of W
  const at::BFloat16* next;  // columns

  [[gnu::always_inline]] void ask(const TileProduct& p, const at::BFloat16* w, std::int64_t k,
                                  std::int64_t deep) const {
    if (along) {
      const std::int64_t later = k + std::min(deep, kTilesAhead);
      const at::BFloat16* const from =
          later < deep ? w + later * kTileDepth : next + (later - deep) * kTileDepth;
#pragma GCC unroll 32
      for (std::int64_t r = 0; r < kRows; ++r) ask_for_line(from + r * p.in);
    } else {
      for (std::int64_t r = first; r < last; ++r) ask_for_line(next + r * p.in + k * kTileDepth);
    }
  }
};

/// Sums that were made and are not yet written to y: that happens while the next ones are made, since vectors
/// and tiles are different parts of the processor.
class Worker {
 public:
  /// Room for the sums of 16 `columns` columns and 16 `blocks` rows, to be written by the next `write`.
  float* unwritten(int columns, int blocks, std::int64_t row, std::int64_t column) {
    columns_ = columns;
    blocks_ = blocks;
    row_ = row;
    column_ = column;
    return sums_;
  }

  void write(const TileProduct& p) {
    for (int block = 0; block < blocks_; ++block) {
      const float* const sums = sums_ + block * columns_ * kTileSide * kTileSide;
      const std::int64_t row = row_ + block * kTileSide;
      if (p.bias == nullptr) {
        columns_ == 2 ? finish<2, false>(p, sums, row, column_) : finish<1, false>(p, sums, row, column_);
      } else {
        columns_ == 2 ? finish<2, true>(p, sums, row, column_) : finish<1, true>(p, sums, row, column_);
      }
    }
    blocks_ = 0;
  }

 private:
  alignas(64) float sums_[4 * kTileSide * kTileSide];
  std::int64_t row_ = 0, column_ = 0;
  int columns_ = 0, blocks_ = 0;
};

/// Sums of 16 kColumns columns from `column` and 16 kBlocks rows from block `block` of them.
template <int kColumns, int kBlocks>
void block_of(const TileProduct& p, const PackedRows& x, DepthPart part, const Ahead<kColumns>& ahead,
              std::int64_t column, std::int64_t block, Worker& worker) {
  constexpr std::int64_t kSums = kTileSide * kTileSide;
  const at::BFloat16* const w = p.weight + column * p.in;
  const std::int64_t stride = p.in * static_cast<std::int64_t>(sizeof(at::BFloat16));
  float* const waiting = part.sums + block * kColumns * kSums;
  if (part.begin == 0) {
    _tile_zero(0);
    if constexpr (kColumns > 1) _tile_zero(1);
    if constexpr (kBlocks > 1) _tile_zero(2);
    if constexpr (kColumns > 1 && kBlocks > 1) _tile_zero(3);
  } else {
    _tile_loadd(0, waiting, 64);
    if constexpr (kColumns > 1) _tile_loadd(1, waiting + kSums, 64);
    if constexpr (kBlocks > 1) _tile_loadd(2, waiting + kColumns * kSums, 64);
    if constexpr (kColumns > 1 && kBlocks > 1) _tile_loadd(3, waiting + 3 * kSums, 64);
  }
  const std::byte *const x0 = x.at(block, 0), *const x1 = x.at(block + 1, 0);
  constexpr std::int64_t kTileBytes = kTileValues * static_cast<std::int64_t>(sizeof(at::BFloat16));
  for (std::int64_t k = part.begin; k < part.end; ++k) {
    _tile_loadd(4, w + k * kTileDepth, stride);
    _tile_stream_loadd(6, x0 + k * kTileBytes, 64);  // used once, so that the weights may stay in the cache
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kColumns > 1) {
      _tile_loadd(5, w + kTileSide * p.in + k * kTileDepth, stride);
      _tile_dpbf16ps(1, 5, 6);
    }
    if constexpr (kBlocks > 1) {
      _tile_stream_loadd(7, x1 + k * kTileBytes, 64);
      _tile_dpbf16ps(2, 4, 7);
      if constexpr (kColumns > 1) _tile_dpbf16ps(3, 5, 7);
    }
    ahead.ask(p, w, k, x.deep);
  }
  worker.write(p);  // while the tiles' products are still being made
  float* to = waiting;
  if (part.end == x.deep) to = worker.unwritten(kColumns, kBlocks, block * kTileSide, column);
  _tile_stored(0, to, 64);
  if constexpr (kColumns > 1) _tile_stored(1, to + kSums, 64);
  if constexpr (kBlocks > 1) _tile_stored(2, to + kColumns * kSums, 64);
  if constexpr (kColumns > 1 && kBlocks > 1) _tile_stored(3, to + 3 * kSums, 64);
}

/// All rows of y in 16 kColumns columns; those of column `next` will follow.
template <int kColumns>
void all_rows(const TileProduct& p, const PackedRows& x, std::int64_t column, std::int64_t next,
              Worker& worker) {
  const std::int64_t blocks = (p.rows + kTileSide - 1) / kTileSide;
  DepthPart part{.begin = 0, .end = x.deep, .sums = nullptr};
  Ahead<kColumns> ahead{.along = true, .first = 0, .last = 0, .next = p.weight + next * p.in};
  if (blocks == 1) return block_of<kColumns, 1>(p, x, part, ahead, column, 0, worker);
  if (blocks == 2) return block_of<kColumns, 2>(p, x, part, ahead, column, 0, worker);
  static thread_local LineBuffer<float> waiting;
  part.sums = waiting.reserve(blocks * kColumns * kTileSide * kTileSide);
  ahead.along = false;
  const std::int64_t rows = Ahead<kColumns>::kRows;
  const std::int64_t parts = (x.deep + kDepthAtOnce - 1) / kDepthAtOnce;
  for (std::int64_t i = 0; i < parts; ++i, part.begin = part.end) {
    part.end = x.deep * (i + 1) / parts;
    for (std::int64_t b = 0; b < blocks; b += 2) {
      ahead.first = rows * b / blocks;
      ahead.last = rows * std::min(b + 2, blocks) / blocks;
      if (b + 2 <= blocks) {
        block_of<kColumns, 2>(p, x, part, ahead, column, b, worker);
      } else {
        block_of<kColumns, 1>(p, x, part, ahead, column, b, worker);
      }
    }
  }
}

/// As many columns as there are whole sixteens.
void multiply(const TileProduct& p) {
  // Kept by each thread that asks for products: a step of decoding asks for hundreds of the same sizes.
  static thread_local PackedRows packed;
  pack(p, packed);
  const PackedRows& x = packed;
  const std::int64_t pairs = p.out / (2 * kTileSide), work = 2 * kTileSide * p.in * p.rows;
  at::parallel_for(0, pairs, std::max<std::int64_t>(1, kWorkPerThread / work),
                   [&](std::int64_t begin, std::int64_t end) {
                     const Tiles tiles;
                     Worker worker;
                     for (std::int64_t c = begin; c < end; ++c)
                       all_rows<2>(p, x, c * 2 * kTileSide, std::min(c + 1, end - 1) * 2 * kTileSide, worker);
                     worker.write(p);
                   });
  if (p.out % (2 * kTileSide) < kTileSide) return;
  const Tiles tiles;
  Worker worker;
  all_rows<1>(p, x, pairs * 2 * kTileSide, pairs * 2 * kTileSide, worker);
  worker.write(p);
}

}  // namespace

std::int64_t tile_linear(const TileProduct& p) {
  const auto row_bytes = p.in * static_cast<std::int64_t>(sizeof(at::BFloat16));
  const std::int64_t blocks = std::clamp<std::int64_t>(kRowBytesAtOnce / (row_bytes * 2 * kTileSide), 4, 16),
                     rows_at_once = blocks * 2 * kTileSide;
  for (std::int64_t row = 0; row < p.rows; row += rows_at_once) {
    TileProduct part = p;
    part.x += row * p.in;
    part.y += row * p.out;
    part.rows = std::min(rows_at_once, p.rows - row);
    multiply(part);
  }
  return p.out / kTileSide * kTileSide;
}

#else

std::int64_t tile_linear(const TileProduct&) {
  return 0;
}

#endif

}  // namespace safetylock
