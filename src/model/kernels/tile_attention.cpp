#include "model/kernels/tile_attention.h"

#if defined(SAFETYLOCK_TILES)
#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "model/kernels/bfloat16_lanes.h"
#include "model/kernels/cpu_clones.h"
#include "model/kernels/lane_transpose.h"

// As in cpu_linear.cpp: everything that passes vectors is inlined, and GCC bug 105593.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

namespace safetylock {
namespace {

#define SAFETYLOCK_KERNEL [[SAFETYLOCK_AVX512]] [[gnu::always_inline]] inline
constexpr int kLanes = 16;
using Lanes = float __attribute__((vector_size(64)));
#include "model/kernels/attention_body.h"

/// In units of 32 bits, two values.
constexpr std::int64_t kTilePairs = kTileValues / 2;

constexpr std::int64_t whole_tiles(std::int64_t n) {
  return (n + kTileDepth - 1) / kTileDepth * kTileDepth;
}

/// a and b rounded, side by side in each lane, a first.
SAFETYLOCK_KERNEL void store_pairs(const Lanes& a, const Lanes& b, std::uint32_t* to) {
  const auto first = std::bit_cast<__m256i>(_mm512_cvtneps_pbh(a)),
             second = std::bit_cast<__m256i>(_mm512_cvtneps_pbh(b));
  _mm512_store_si512(to, _mm512_or_si512(_mm512_cvtepu16_epi32(first),
                                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16)));
}

/// Scores of keys [from, until) to weights, tile by tile, and their sums.
[[SAFETYLOCK_AVX512]] void weigh(const Sight<2>& sight, ScoreRule rule, float* scores, std::int64_t from,
                                 std::int64_t until, std::uint32_t* weights, Lanes (&sum)[2]) {
  Lanes largest[2];
  find_largest(sight, rule, scores, largest);
  const float scale = (rule.softcap > 0 ? 1.0F : rule.scale) * kLog2E;
  for (std::int64_t key = from; key < until; key += 2) {
    std::uint32_t* const tile = weights + key / kTileDepth * 2 * kTilePairs;
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      Lanes pair[2];
#pragma GCC unroll 2
      for (int one = 0; one < 2; ++one) {
        load(scores + ((key + one) * 2 + v) * kLanes, pair[one]);
        pair[one] = power_of_two(_mm512_max_ps(_mm512_set1_ps(-126.0F), (pair[one] - largest[v]) * scale));
        if (!sight.by_all(key + one)) sight.keep(key + one, v, 0, pair[one]);
        sum[v] += pair[one];
      }
      store_pairs(pair[0], pair[1], tile + v * kTilePairs + key % kTileDepth / 2 * kLanes);
    }
  }
}

[[SAFETYLOCK_AVX512]] void finish(const float* sums, std::int64_t depth, const Lanes (&sum)[2],
                                  const GroupRows<at::BFloat16>& out, std::int64_t row, std::int64_t rows) {
  for (std::int64_t v = 0; v < 2; ++v) {
    const Lanes factor = 1.0F / sum[v];
    for (std::int64_t d = 0; d < depth; d += kLanes) {
      Lanes block[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) {
        load(sums + ((d + r) * 2 + v) * kLanes, block[r]);
        block[r] *= factor;
      }
      transpose(block);
      const std::int64_t here = std::min<std::int64_t>(kLanes, out.D - d);
      const auto mask = static_cast<__mmask16>((1U << std::max<std::int64_t>(here, 0)) - 1);
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) {
        if (v * kLanes + r < rows)
          _mm256_mask_storeu_epi16(out.at(row + v * kLanes + r) + d, mask,
                                   std::bit_cast<__m256i>(_mm512_cvtneps_pbh(block[r])));
      }
    }
  }
}

[[SAFETYLOCK_AVX512]] void transpose_pairs(const std::uint32_t* from, std::int64_t from_stride,
                                           std::uint32_t* to, std::int64_t to_stride) {
  Lanes block[kLanes];
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) std::memcpy(&block[r], from + r * from_stride, sizeof block[r]);
  transpose(block);
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) std::memcpy(to + r * to_stride, &block[r], sizeof block[r]);
}

/// Values of two rows side by side: 16 dimensions of 32 rows, `stride` apart.
[[SAFETYLOCK_AVX512]] void pair_rows(const at::BFloat16* rows, std::int64_t stride, std::uint32_t* to) {
  const auto wide = [&](std::int64_t row) __attribute__((always_inline)) {
    __m256i half;
    std::memcpy(&half, rows + row * stride, sizeof half);
    return half;
  };
  for (std::int64_t r = 0; r < kTileSide; ++r) {
    const __m512i even = _mm512_cvtepu16_epi32(wide(2 * r)), odd = _mm512_cvtepu16_epi32(wide(2 * r + 1));
    _mm512_storeu_si512(to + r * kTileSide, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
  }
}

/// 32 rows on the left by 32 on the right: tiles 0 to 3.
void zero_square() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

/// `left`: 32 rows of 32 values, `stride` apart; the two on the right are tiles.
void add_to_square(const at::BFloat16* left, std::int64_t stride, const std::uint32_t* right,
                   const std::uint32_t* further) {
  const std::int64_t bytes = stride * static_cast<std::int64_t>(sizeof(at::BFloat16));
  _tile_loadd(4, left, bytes);
  _tile_loadd(5, left + kTileSide * stride, bytes);
  _tile_loadd(6, right, 64);
  _tile_loadd(7, further, 64);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

/// To rows of 32 floats.
void store_square(float* to) {
  constexpr std::int64_t kRow = 2 * kTileSide, kRowBytes = kRow * static_cast<std::int64_t>(sizeof(float));
  _tile_stored(0, to, kRowBytes);
  _tile_stored(1, to + kTileSide, kRowBytes);
  _tile_stored(2, to + kTileSide * kRow, kRowBytes);
  _tile_stored(3, to + kTileSide * kRow + kTileSide, kRowBytes);
}

}  // namespace

void TileAttention::gather(const AttentionGroup& group, std::span<const KeyPiece<Value>> pieces) {
  group_ = group;
  depth_ = whole_tiles(group.D);
  keys_ = whole_tiles(group.keys());
  key_rows_ = key_room_.reserve(keys_ * depth_);
  Value* const value_rows = value_room_.reserve(keys_ * depth_);
  turned_values_ = turned_room_.reserve(keys_ * depth_);
  queries_ = query_room_.reserve(kRows * depth_ / 2);
  weights_ = weight_room_.reserve(kRows * keys_ / 2);
  scores_ = score_room_.reserve(keys_ * kRows);
  sums_ = sum_room_.reserve(depth_ * kRows);
  std::int64_t at = 0;
  const auto add = [&](Value* rows, const Value* row) {
    std::copy_n(row, group.D, rows + at);
    std::fill_n(rows + at + group.D, depth_ - group.D, Value(0));
  };
  for (const KeyPiece<Value>& piece : pieces) {
    for (std::int64_t i = 0; i < piece.n; ++i, at += depth_) {
      add(key_rows_, piece.keys + i * piece.stride);
      add(value_rows, piece.values + i * piece.stride);
    }
  }
  std::fill(key_rows_ + at, key_rows_ + keys_ * depth_, Value(0));
  std::fill(value_rows + at, value_rows + keys_ * depth_, Value(0));
  turn_values(value_rows);
}

void TileAttention::turn_values(const Value* rows) {
  alignas(64) std::uint32_t pairs[kTilePairs];
  auto* const turned = reinterpret_cast<std::uint32_t*>(turned_values_);
  for (std::int64_t key = 0; key < keys_; key += kTileDepth) {
    for (std::int64_t d = 0; d < depth_; d += kTileSide) {
      pair_rows(rows + key * depth_ + d, depth_, pairs);
      transpose_pairs(pairs, kTileSide, turned + (d * keys_ + key) / 2, keys_ / 2);
    }
  }
}

void TileAttention::pack_queries(const GroupRows<const Value>& q, std::int64_t row, std::int64_t rows) {
  alignas(64) Value block[kTileValues];
  for (std::int64_t v = 0; v < 2; ++v) {
    for (std::int64_t d = 0; d < depth_; d += kTileDepth) {
      std::uint32_t* const to = queries_ + (v * depth_ / kTileDepth + d / kTileDepth) * kTilePairs;
      const std::int64_t here = std::min(kTileDepth, group_.D - d);
      for (std::int64_t r = 0; r < kTileSide; ++r) {
        Value* const place = block + r * kTileDepth;
        const bool is_there = v * kTileSide + r < rows;
        const std::int64_t n = is_there ? here : 0;
        if (n > 0) std::copy_n(q.at(row + v * kTileSide + r) + d, n, place);
        std::fill_n(place + n, kTileDepth - n, Value(0));
      }
      transpose_pairs(reinterpret_cast<const std::uint32_t*>(block), kTileSide, to, kTileSide);
    }
  }
}

void TileAttention::score(std::int64_t from, std::int64_t until) {
  const std::int64_t deep = depth_ / kTileDepth;
  for (std::int64_t key = from; key < until; key += 2 * kTileSide) {
    zero_square();
    for (std::int64_t k = 0; k < deep; ++k)
      add_to_square(key_rows_ + key * depth_ + k * kTileDepth, depth_, queries_ + k * kTilePairs,
                    queries_ + (deep + k) * kTilePairs);
    store_square(scores_ + key * kRows);
  }
}

void TileAttention::add_values(std::int64_t from, std::int64_t until) {
  for (std::int64_t d = 0; d < depth_; d += 2 * kTileSide) {
    zero_square();
    for (std::int64_t key = from; key < until; key += kTileDepth) {
      const std::uint32_t* const weights = weights_ + key / kTileDepth * 2 * kTilePairs;
      add_to_square(turned_values_ + d * keys_ + key, keys_, weights, weights + kTilePairs);
    }
    store_square(sums_ + d * kRows);
  }
}

[[SAFETYLOCK_AVX512]] void TileAttention::attend(const GroupRows<const Value>& q, const GroupRows<Value>& out,
                                                 std::int64_t row) {
  const std::int64_t rows = std::min(kRows, group_.rows() - row);
  pack_queries(q, row, rows);
  Sight<2> sight;
  sight_of(group_, row, sight);
  const std::int64_t from = sight.begin / kTileDepth * kTileDepth, until = whole_tiles(sight.end);
  score(from, until);
  Lanes sum[2] = {};
  weigh(sight, group_.rule, scores_, from, until, weights_, sum);
  add_values(from, until);
  finish(sums_, depth_, sum, out, row, rows);
}

}  // namespace safetylock
#endif
