// Products with W as it is stored on the matrix tiles of a processor with AMX: W takes the place of the left
// factor, packed rows of x that of the right one, so that sums come out transposed, [columns][rows]. What
// becomes of them is left to a writer.
#pragma once

#include "model/kernels/tiles.h"

#if defined(SAFETYLOCK_TILES)
#include <ATen/Parallel.h>

#include <algorithm>

#include "model/kernels/line_buffer.h"
#include "model/kernels/shares.h"
#include "model/torch_includes.h"

namespace safetylock {

/// x as tiles, [rows / 16, in / 32] of them, with zeros for the rows that the last ones lack. In units of 32
/// bits, two values, each is a transposed block of x.
struct PackedRows {
  LineBuffer<float> room;
  float* tiles = nullptr;
  std::int64_t deep = 0;  ///< tiles along `in`

  void reserve(std::int64_t rows, std::int64_t in) {
    deep = in / kTileDepth;
    tiles = room.reserve((rows + kTileSide - 1) / kTileSide * deep * kTileFloats);
  }
  float* at(std::int64_t block, std::int64_t k) const { return tiles + (block * deep + k) * kTileFloats; }

  static constexpr std::int64_t kTileFloats = kTileValues / 2;  ///< a tile's size in units of 32 bits
};

/// 32 rows of W at a time, sixteen beside sixteen: `second` rows lie between the beginnings of the two.
struct TileWeights {
  const at::BFloat16* weight;  ///< [out, in]
  std::int64_t in;
  std::int64_t second = kTileSide;
};

/// Asks for a line in the second-level cache. Not by __builtin_prefetch, for which g++ 12 takes a function
/// that does nothing else to have no effect, and leaves its calls out.
[[gnu::always_inline]] inline void ask_for_line(const void* at) {
  asm volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(at)));
}

/// How far ahead of the sums weights are asked for, along their rows and from the end of these at the next
/// columns' beginning: a rows' worth of 9,000 values does not last until its turn.
constexpr std::int64_t kTilesAhead = 32;
/// Tiles along the depth after which many rows go on to the next block: so much of the columns' weights,
/// 40 KB, stays in the first-level cache for all blocks of rows, though sums have to wait then.
constexpr std::int64_t kDepthAtOnce = 20;
/// Pairs of sixteen columns that a thread takes at most at once where sums wait: few, for these to stay in
/// the second-level cache.
constexpr std::int64_t kPairsAtOnce = 3;
/// Bytes of packed rows, or of a part of their depth, that stay in the second-level cache for all columns,
/// beside their weights.
constexpr std::int64_t kRowBytesAtOnce = 1 << 20;
/// Rows, whole pairs of sixteen, that are taken at once.
constexpr std::int64_t tile_rows_at_once(std::int64_t in) {
  const std::int64_t bytes =
      std::min(in, kDepthAtOnce * kTileDepth) * static_cast<std::int64_t>(sizeof(at::BFloat16));
  return std::clamp<std::int64_t>(kRowBytesAtOnce / (bytes * 2 * kTileSide), 4, 16) * 2 * kTileSide;
}
/// As kWorkPerThread, on tiles.
constexpr std::int64_t kTileWorkPerThread = 1 << 20;

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

  [[gnu::always_inline]] void ask(const TileWeights& w, const at::BFloat16* here, std::int64_t k,
                                  std::int64_t deep) const {
    const std::int64_t gap = (w.second - kTileSide) * w.in;
    if (along) {
      const std::int64_t later = k + std::min(deep, kTilesAhead);
      const at::BFloat16* const from =
          later < deep ? here + later * kTileDepth : next + (later - deep) * kTileDepth;
#pragma GCC unroll 32
      for (std::int64_t r = 0; r < kRows; ++r) ask_for_line(from + r * w.in + (r < kTileSide ? 0 : gap));
    } else {
      for (std::int64_t r = first; r < last; ++r)
        ask_for_line(next + r * w.in + k * kTileDepth + (r < kTileSide ? 0 : gap));
    }
  }
};

/// Sums that are made and not written yet: tiles of [16 columns][16 rows], for each of `blocks` blocks of
/// rows those of `columns` times sixteen columns.
struct MadeSums {
  alignas(64) float tiles[4 * kTileSide * kTileSide];
  int columns = 0, blocks = 0;
  std::int64_t block = 0, column = 0;

  const float* at(std::int64_t of_block) const { return tiles + of_block * columns * kTileSide * kTileSide; }
};

/// Sums of 16 kColumns columns from `column` and 16 kBlocks rows from block `block` of them, which become
/// `made`, after `made` has been written. Writer:
///   steps(made)     in how many steps it writes
///   write(made, i)  one of them. They come between the multiplications of the next sums: vectors and tiles
///                   are different parts of the processor, which looks only some hundred instructions ahead
template <int kColumns, int kBlocks, typename Writer>
void tile_block(const TileWeights& weights, const PackedRows& x, DepthPart part, const Ahead<kColumns>& ahead,
                std::int64_t column, std::int64_t block, MadeSums& made, const Writer& writer) {
  constexpr std::int64_t kSums = kTileSide * kTileSide;
  const at::BFloat16 *const w = weights.weight + column * weights.in, *const w2 =
                                                                          w + weights.second * weights.in;
  const std::int64_t stride = weights.in * static_cast<std::int64_t>(sizeof(at::BFloat16));
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
  const float *const x0 = x.at(block, 0), *const x1 = x.at(block + 1, 0);
  const std::int64_t steps = writer.steps(made), turns = part.end - part.begin;
  std::int64_t step = 0, owed = 0;
  for (std::int64_t k = part.begin; k < part.end; ++k) {
    _tile_loadd(4, w + k * kTileDepth, stride);
    // Used once, so that the weights may stay in the first-level cache.
    _tile_stream_loadd(6, x0 + k * PackedRows::kTileFloats, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kColumns > 1) {
      _tile_loadd(5, w2 + k * kTileDepth, stride);
      _tile_dpbf16ps(1, 5, 6);
    }
    if constexpr (kBlocks > 1) {
      _tile_stream_loadd(7, x1 + k * PackedRows::kTileFloats, 64);
      _tile_dpbf16ps(2, 4, 7);
      if constexpr (kColumns > 1) _tile_dpbf16ps(3, 5, 7);
    }
    ahead.ask(weights, w, k, x.deep);
    for (owed += steps; owed >= turns; owed -= turns) writer.write(made, step++);
  }
  made.blocks = 0;
  float* to = waiting;
  if (part.end == x.deep) {
    made.columns = kColumns;
    made.blocks = kBlocks;
    made.block = block;
    made.column = column;
    to = made.tiles;
  }
  _tile_stored(0, to, 64);
  if constexpr (kColumns > 1) _tile_stored(1, to + kSums, 64);
  if constexpr (kBlocks > 1) _tile_stored(2, to + kColumns * kSums, 64);
  if constexpr (kColumns > 1 && kBlocks > 1) _tile_stored(3, to + 3 * kSums, 64);
}

/// `number` times 16 kColumns columns, `step` columns for each, of some blocks of rows.
struct SumGroup {
  std::int64_t first, number, step;
  std::int64_t first_block, blocks;
};

/// A group's sums; those of column `next` will follow. Where sums wait for another part of the depth, that
/// part of the packed rows is in the second-level cache for the whole group.
template <int kColumns, typename Writer>
void tile_columns(const TileWeights& weights, const PackedRows& x, SumGroup group, std::int64_t next,
                  MadeSums& made, const Writer& writer) {
  constexpr std::int64_t kRows = Ahead<kColumns>::kRows, kSums = kColumns * kTileSide * kTileSide;
  const std::int64_t blocks = group.blocks;
  const bool along = blocks <= 2;
  const std::int64_t parts = along ? 1 : (x.deep + kDepthAtOnce - 1) / kDepthAtOnce;
  static thread_local LineBuffer<float> waiting;
  float* const sums = waiting.reserve(group.number * blocks * kSums);
  const auto begin_of = [&](std::int64_t part) { return x.deep * part / parts; };
  for (std::int64_t p = 0; p < parts; ++p) {
    for (std::int64_t i = 0; i < group.number; ++i) {
      const DepthPart part{.begin = begin_of(p),
                           .end = begin_of(p + 1),
                           .sums = sums + (i * blocks - group.first_block) * kSums};
      const std::int64_t column = group.first + i * group.step;
      std::int64_t then = column + group.step, then_begin = part.begin;
      if (i + 1 == group.number) {
        then = p + 1 < parts ? group.first : next;
        then_begin = p + 1 < parts ? part.end : 0;
      }
      Ahead<kColumns> ahead{
          .along = along,
          .first = 0,
          .last = 0,
          .next = weights.weight + then * weights.in + (then_begin - part.begin) * kTileDepth};
      for (std::int64_t b = 0; b < blocks; b += 2) {
        ahead.first = kRows * b / blocks;
        ahead.last = kRows * std::min(b + 2, blocks) / blocks;
        if (b + 2 <= blocks) {
          tile_block<kColumns, 2>(weights, x, part, ahead, column, group.first_block + b, made, writer);
        } else {
          tile_block<kColumns, 1>(weights, x, part, ahead, column, group.first_block + b, made, writer);
        }
      }
    }
  }
}

template <typename Writer>
void write_all(const MadeSums& made, const Writer& writer) {
  for (std::int64_t i = 0; i < writer.steps(made); ++i) writer.write(made, i);
}

/// All rows in columns [0, columns), of which there are whole pairs of sixteens and perhaps one more; `step`
/// columns for each pair. Every thread takes the next pairs when it is done with some: first of its own rows,
/// those of this share of all rows that the other kernels give it, as they are in its cache.
template <typename Writer>
void tile_product(const TileWeights& weights, const PackedRows& x, std::int64_t rows, std::int64_t columns,
                  std::int64_t step, const Writer& writer) {
  const std::int64_t pairs = columns / step, work = 2 * kTileSide * weights.in * rows;
  const std::int64_t threads =
      std::min<std::int64_t>(at::get_num_threads(), pairs * work / kTileWorkPerThread + 1);
  const std::int64_t most = x.deep > kDepthAtOnce && rows > 2 * kTileSide ? kPairsAtOnce : 1;
  const RowParts parts(rows, 2 * kTileSide, threads);
  const auto first_block = [&](std::int64_t part) { return (parts.begin(part) + kTileSide - 1) / kTileSide; };
  Shares shares(pairs, threads, most, parts.number());
  at::parallel_for(0, threads, 1, [&](std::int64_t thread, std::int64_t) {
    const Tiles tiles;
    MadeSums made;
    const auto take = [&] {
      const Shares::Share share = shares.take(parts.of_thread(thread));
      return SumGroup{.first = share.begin * step,
                      .number = share.number,
                      .step = step,
                      .first_block = first_block(share.part),
                      .blocks = first_block(share.part + 1) - first_block(share.part)};
    };
    for (SumGroup group = take(); group.number > 0;) {
      const SumGroup next = take();
      tile_columns<2>(weights, x, group, std::min(next.first, (pairs - 1) * step), made, writer);
      group = next;
    }
    write_all(made, writer);
  });
  if (columns % step < kTileSide) return;
  const Tiles tiles;
  MadeSums made;
  const SumGroup last{.first = pairs * step,
                      .number = 1,
                      .step = step,
                      .first_block = 0,
                      .blocks = first_block(parts.number())};
  tile_columns<1>(weights, x, last, last.first, made, writer);
  write_all(made, writer);
}

}  // namespace safetylock
#endif
