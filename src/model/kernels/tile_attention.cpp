#include "model/kernels/tile_attention.h"

#if defined(SAFETYLOCK_TILES)
#include <algorithm>
#include <atomic>
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

/// A tile of sums.
constexpr std::int64_t kTileSums = kTileSide * kTileSide;
/// Tiles of values that are taken at once: their sums fill half of the processor's tiles.
constexpr std::int64_t kValueTiles = 4;

/// Weights are relative to the largest score of some keys, not of all: floats are as exact far from 1 as near
/// it. Beyond this sum that no longer holds for their products with values.
constexpr float kLargestSum = 0x1p64F;

constexpr std::int64_t whole_tiles(std::int64_t n) {
  return (n + kTileDepth - 1) / kTileDepth * kTileDepth;
}

/// The lowest bits: none of them where n is not positive, all sixteen where it is greater.
constexpr std::uint32_t lowest(std::int64_t n) {
  return (1U << std::clamp<std::int64_t>(n, 0, kTileSide)) - 1;
}

/// n rows of D values that count as 32 of as many as wanted: all others are 0.
struct FewRows {
  const at::BFloat16* rows[kTileDepth];
  std::int64_t n, D;

  /// Of the values from d on.
  SAFETYLOCK_KERNEL __m512i wide(std::int64_t row, std::int64_t d) const {
    if (row >= n) return _mm512_setzero_si512();
    return _mm512_maskz_loadu_epi16(first_of_32(D - d), rows[row] + d);
  }
  /// Sixteen of them, each in 32 bits.
  SAFETYLOCK_KERNEL __m512i half(std::int64_t row, std::int64_t d) const {
    if (row >= n) return _mm512_setzero_si512();
    const auto mask = static_cast<__mmask16>(lowest(D - d));
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, rows[row] + d));
  }
};

/// A right factor whose columns are 32 values from d on of sixteen rows.
[[SAFETYLOCK_AVX512]] void pack_columns(const FewRows& rows, std::int64_t first, std::int64_t d,
                                        at::BFloat16* to) {
  Lanes block[kLanes];
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) block[r] = std::bit_cast<Lanes>(rows.wide(first + r, d));
  transpose(block);
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) std::memcpy(to + r * kTileDepth, &block[r], sizeof block[r]);
}

/// A right factor whose rows are sixteen values from d on of 32 rows.
[[SAFETYLOCK_AVX512]] void pack_pairs(const FewRows& rows, std::int64_t d, at::BFloat16* to) {
  for (std::int64_t r = 0; r < kTileSide; ++r)
    _mm512_store_si512(to + r * kTileDepth,
                       _mm512_or_si512(rows.half(2 * r, d), _mm512_slli_epi32(rows.half(2 * r + 1, d), 16)));
}

/// Which of sixteen keys from `key` on a row sees.
SAFETYLOCK_KERNEL __mmask16 seen(const Sight<1>& sight, int r, std::int64_t key) {
  const __m512i keys =
      _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(key)),
                       _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  return _mm512_mask_cmpge_epi32_mask(_mm512_cmplt_epi32_mask(keys, _mm512_set1_epi32(sight.last[0][r])),
                                      keys, _mm512_set1_epi32(sight.first[0][r]));
}

/// Whether all rows see the 32 keys from `key` on.
SAFETYLOCK_KERNEL bool all_seen(const Sight<1>& sight, std::int64_t key) {
  return key >= sight.all_from && key + kTileDepth <= sight.all_until;
}

/// Scores of 32 keys, capped.
SAFETYLOCK_KERNEL void cap_scores(ScoreRule rule, float* scores) {
  if (rule.softcap <= 0) return;
  for (float* at = scores; at < scores + 2 * kTileSums; at += kLanes) {
    Lanes x;
    load(at, x);
    x *= rule.scale;
    cap(rule.softcap, x);
    store(x, at);
  }
}

/// Each row's largest score of 32 keys that it sees, if that is larger. NaN is passed over.
SAFETYLOCK_KERNEL void find_largest(const Sight<1>& sight, std::int64_t key, const float* scores,
                                    Lanes (&largest)[kLanes]) {
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r)
      largest[r] = _mm512_mask_max_ps(largest[r], seen(sight, r, key + half * kLanes),
                                      _mm512_load_ps(scores + half * kTileSums + r * kLanes), largest[r]);
  }
}

/// What the tiles do between the rows that vectors weigh: they are different parts of the processor, which
/// looks only some hundred instructions ahead. The scores of the next 32 keys, if there are such, and what
/// the 32 keys before add to the sums over values, sixteen values at a time. kDeep: tiles along the depth; 0:
/// they do nothing.
template <int kDeep, bool kNext>
struct TileSteps {
  static constexpr int kScores = kNext ? 2 * kDeep + 1 : 0, kSteps = kDeep > 0 ? kScores + kValueTiles : 0;
  const at::BFloat16 *queries, *keys, *further;  // of the next
  float* scores;
  const at::BFloat16 *weights, *values;  // of those before

  SAFETYLOCK_KERNEL void take(int step) const {
    if (step < kScores - 1) {
      const std::int64_t at = step / 2 * kTileValues;
      if (step % 2 == 0) {
        if (step == 0) {
          _tile_zero(4);
          _tile_zero(5);
        }
        _tile_loadd(6, queries + at, 64);
        _tile_stream_loadd(7, keys + at, 64);
        _tile_dpbf16ps(4, 6, 7);
      } else {
        _tile_stream_loadd(7, further + at, 64);
        _tile_dpbf16ps(5, 6, 7);
      }
    } else if (step < kScores) {
      _tile_stored(4, scores, 64);
      _tile_stored(5, scores + kTileSums, 64);
    } else {
      const int tile = step - kScores;
      if (tile == 0) _tile_loadd(6, weights, 64);
      _tile_stream_loadd(7, values + tile * kTileValues, 64);
      if (tile == 0) _tile_dpbf16ps(0, 6, 7);
      if (tile == 1) _tile_dpbf16ps(1, 6, 7);
      if (tile == 2) _tile_dpbf16ps(2, 6, 7);
      if (tile == 3) _tile_dpbf16ps(3, 6, 7);
    }
  }
};

/// Scores of 32 keys to weights, relative to each row's reference, which is scaled already; and what these
/// add up to.
template <bool kAll, typename Steps>
SAFETYLOCK_KERNEL void weigh(const Sight<1>& sight, std::int64_t key, const float* scores, float scale,
                             const float* reference, at::BFloat16* weights, Lanes (&sums)[kLanes],
                             const Steps& steps) {
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) {
    Lanes pair[2];
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      Lanes& x = pair[half];
      load(scores + half * kTileSums + r * kLanes, x);
      x = weight_power(x * scale - reference[r]);
      if constexpr (!kAll) x = _mm512_maskz_mov_ps(seen(sight, r, key + half * kLanes), x);
    }
    sums[r] += pair[0] + pair[1];
    _mm512_store_si512(weights + r * kTileDepth, one_after_other(pair[0], pair[1]));
#pragma GCC unroll 16
    for (int step = r * Steps::kSteps / kLanes; step < (r + 1) * Steps::kSteps / kLanes; ++step)
      steps.take(step);
  }
}

/// What was written by vectors, before tiles read it: to the compiler loading a tile reads no memory.
void written() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

template <int kTiles>
void zero_sums() {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTiles > 2) {
    _tile_zero(2);
    _tile_zero(3);
  }
}

/// Sums over values from d on, divided by those over weights, and rounded.
template <int kTiles>
[[SAFETYLOCK_AVX512]] void write_sums(const float* weight_sums, const GroupRows<at::BFloat16>& out,
                                      std::int64_t row, std::int64_t rows, std::int64_t d) {
  constexpr std::int64_t kRowBytes = kTiles * kTileSide * static_cast<std::int64_t>(sizeof(float));
  alignas(64) float sums[kTileSide][kTiles][kTileSide];
  _tile_stored(0, sums[0][0], kRowBytes);
  _tile_stored(1, sums[0][1], kRowBytes);
  if constexpr (kTiles > 2) {
    _tile_stored(2, sums[0][2], kRowBytes);
    _tile_stored(3, sums[0][3], kRowBytes);
  }
  __mmask32 masks[kTiles / 2];
  for (std::int64_t i = 0; i < kTiles / 2; ++i) masks[i] = first_of_32(out.D - d - i * kTileDepth);
  RowPlaces places(out, row);
  for (std::int64_t r = 0; r < rows; ++r) {
    const __m512 factor = _mm512_set1_ps(1.0F / weight_sums[r]);
    at::BFloat16* const to = places.next() + d;
#pragma GCC unroll 2
    for (std::int64_t i = 0; i < kTiles / 2; ++i) {
      _mm512_mask_storeu_epi16(to + i * kTileDepth, masks[i],
                               one_after_other(_mm512_load_ps(sums[r][2 * i]) * factor,
                                               _mm512_load_ps(sums[r][2 * i + 1]) * factor));
    }
  }
}

}  // namespace

/// Sixteen rows of a group.
struct TileAttention::TileRows {
  Sight<1> sight;
  std::int64_t row, from, until;  // keys, whole tiles of them
  const Value* queries;
  float* scores;                           // [2][2] tiles: of 32 keys, and the next 32
  bool begun = false;                      // the first scores are there
  alignas(64) float reference[kTileSide];  // scaled

  [[SAFETYLOCK_AVX512]] void begin(const AttentionGroup& group, std::int64_t at, const Value* packed,
                                   float* room) {
    scores = room;
    sight_of(group, at, sight);
    row = at;
    from = sight.begin / kTileDepth * kTileDepth;
    until = whole_tiles(sight.end);
    queries = packed;
  }
};

void TileAttention::gather(const AttentionGroup& group, std::span<const KeyPiece<Value>> pieces) {
  group_ = group;
  depth_ = whole_tiles(group.D);
  const std::int64_t keys = whole_tiles(group.keys());
  keys_ = key_room_.reserve(keys * depth_);
  values_ = value_room_.reserve(keys * depth_);
  queries_ = query_room_.reserve(kRows * depth_);
  weights_ = weight_room_.reserve(keys * kTileSide);
  scores_ = score_room_.reserve(kRows / kTileSide * 4 * kTileSums);
  scale_ = (group.rule.softcap > 0 ? 1.0F : group.rule.scale) * kLog2E;
  std::fill_n(queries_, kRows * depth_, Value(0));

  FewRows key_rows{.rows = {}, .n = 0, .D = group.D}, value_rows = key_rows;
  std::int64_t begin = 0;
  const auto pack = [&] {
    for (std::int64_t d = 0; d < depth_; d += kTileDepth) {
      Value* const to = keys_ + begin * depth_ + d * kTileSide;
      pack_columns(key_rows, 0, d, to);
      pack_columns(key_rows, kTileSide, d, to + kTileSide * depth_);
    }
    for (std::int64_t d = 0; d < depth_; d += kTileSide)
      pack_pairs(value_rows, d, values_ + begin * depth_ + d * kTileDepth);
    begin += kTileDepth;
    key_rows.n = value_rows.n = 0;
  };
  for (const KeyPiece<Value>& piece : pieces) {
    for (std::int64_t i = 0; i < piece.n; ++i) {
      key_rows.rows[key_rows.n++] = piece.keys + i * piece.stride;
      value_rows.rows[value_rows.n++] = piece.values + i * piece.stride;
      if (key_rows.n == kTileDepth) pack();
    }
  }
  if (key_rows.n > 0) pack();
}

[[SAFETYLOCK_AVX512]] void TileAttention::pack_queries(const GroupRows<const Value>& q, std::int64_t row,
                                                       std::int64_t rows) {
  RowPlaces places(q, row);
  for (std::int64_t r = 0; r < rows; ++r) {
    const Value* const from = places.next();
    Value* const to = queries_ + r / kTileSide * kTileSide * depth_ + r % kTileSide * kTileDepth;
    for (std::int64_t d = 0; d < depth_; d += kTileDepth)
      _mm512_store_si512(to + d * kTileSide, _mm512_maskz_loadu_epi16(first_of_32(group_.D - d), from + d));
  }
}

/// Of 32 keys.
void TileAttention::score(const TileRows& rows, std::int64_t key, float* to) const {
  const Value *const keys = keys_ + key * depth_, *const further = keys + kTileSide * depth_;
  _tile_zero(4);
  _tile_zero(5);
  for (std::int64_t k = 0; k < depth_ / kTileDepth; ++k) {
    _tile_loadd(6, rows.queries + k * kTileValues, 64);
    _tile_stream_loadd(7, keys + k * kTileValues, 64);
    _tile_dpbf16ps(4, 6, 7);
    _tile_stream_loadd(7, further + k * kTileValues, 64);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_stored(4, to, 64);
  _tile_stored(5, to + kTileSums, 64);
}

/// Of 32 keys, from d on.
template <int kTiles>
void TileAttention::add_values(std::int64_t key, std::int64_t d) const {
  const Value* const values = values_ + key * depth_ + d * kTileDepth;
  _tile_loadd(6, weights_ + key * kTileSide, 64);
  _tile_stream_loadd(7, values, 64);
  _tile_dpbf16ps(0, 6, 7);
  _tile_stream_loadd(7, values + kTileValues, 64);
  _tile_dpbf16ps(1, 6, 7);
  if constexpr (kTiles > 2) {
    _tile_stream_loadd(7, values + 2 * kTileValues, 64);
    _tile_dpbf16ps(2, 6, 7);
    _tile_stream_loadd(7, values + 3 * kTileValues, 64);
    _tile_dpbf16ps(3, 6, 7);
  }
}

template <int kTiles>
void TileAttention::add_all_values(const TileRows& rows, std::int64_t d) const {
  zero_sums<kTiles>();
  for (std::int64_t key = rows.from; key < rows.until; key += kTileDepth) add_values<kTiles>(key, d);
}

/// Of keys [from, until), each row's largest, scaled.
[[SAFETYLOCK_AVX512]] void TileAttention::find_reference(const TileRows& rows, std::int64_t from,
                                                         std::int64_t until, float* reference) const {
  Lanes largest[kLanes];
#pragma GCC unroll 16
  for (auto& row : largest) row = Lanes{} - std::numeric_limits<float>::infinity();
  for (std::int64_t key = from; key < until; key += kTileDepth) {
    score(rows, key, rows.scores);
    cap_scores(group_.rule, rows.scores);
    find_largest(rows.sight, key, rows.scores, largest);
  }
  transpose(largest);
#pragma GCC unroll 15
  for (int i = 1; i < kLanes; ++i) largest[0] = _mm512_max_ps(largest[i], largest[0]);
  store(largest[0] * scale_, reference);
}

/// Of 32 keys of which all rows see some; but where the window is shorter than these rows a row may see none,
/// and has to begin anew.
void TileAttention::find_first_reference(TileRows& rows) const {
  const std::int64_t from = rows.sight.all_from / kTileDepth * kTileDepth;
  find_reference(rows, from, from + kTileDepth, rows.reference);
  rows.begun = from == rows.from && group_.rule.softcap <= 0;
}

/// The weights of all keys and their sums; and the sums over the first values, in the tiles. kDeep: as in
/// TileSteps; 0: tiles and vectors take turns.
template <int kDeep>
[[SAFETYLOCK_AVX512]] void TileAttention::weigh_keys(const TileRows& rows, const float* reference,
                                                     float* weight_sums) const {
  alignas(64) static constexpr std::uint16_t kNoWeights[kTileValues] = {};
  zero_sums<kValueTiles>();
  if (!rows.begun) score(rows, rows.from, rows.scores);
  Lanes sums[kLanes] = {};
  const auto* before = reinterpret_cast<const Value*>(kNoWeights);
  const Value* values_before = values_ + rows.from * depth_;
  for (std::int64_t key = rows.from, i = 0; key < rows.until; key += kTileDepth, i = 1 - i) {
    const bool all = all_seen(rows.sight, key), more = key + kTileDepth < rows.until;
    float *const scores = rows.scores + i * 2 * kTileSums, *const next =
                                                               rows.scores + (1 - i) * 2 * kTileSums;
    Value* const weights = weights_ + key * kTileSide;
    cap_scores(group_.rule, scores);
    if constexpr (kDeep == 0) {
      if (more) score(rows, key + kTileDepth, next);
      const TileSteps<0, false> none{};
      if (all) {
        weigh<true>(rows.sight, key, scores, scale_, reference, weights, sums, none);
      } else {
        weigh<false>(rows.sight, key, scores, scale_, reference, weights, sums, none);
      }
      written();
      if (depth_ < kValueTiles * kTileSide) {
        add_values<kValueTiles / 2>(key, 0);
      } else {
        add_values<kValueTiles>(key, 0);
      }
    } else {
      const Value* const keys = keys_ + (key + kTileDepth) * depth_;
      const TileSteps<kDeep, true> steps{.queries = rows.queries,
                                         .keys = keys,
                                         .further = keys + kTileSide * depth_,
                                         .scores = next,
                                         .weights = before,
                                         .values = values_before};
      if (all && more) {
        weigh<true>(rows.sight, key, scores, scale_, reference, weights, sums, steps);
      } else if (more) {
        weigh<false>(rows.sight, key, scores, scale_, reference, weights, sums, steps);
      } else {
        const TileSteps<kDeep, false> last{.queries = nullptr,
                                           .keys = nullptr,
                                           .further = nullptr,
                                           .scores = nullptr,
                                           .weights = before,
                                           .values = values_before};
        weigh<false>(rows.sight, key, scores, scale_, reference, weights, sums, last);
      }
      written();
      before = weights;
      values_before = values_ + key * depth_;
    }
  }
  if constexpr (kDeep > 0) add_values<kValueTiles>(rows.until - kTileDepth, 0);
  transpose(sums);
#pragma GCC unroll 15
  for (int i = 1; i < kLanes; ++i) sums[0] += sums[i];
  store(sums[0], weight_sums);
}

void TileAttention::weigh_all(const TileRows& rows, const float* reference, float* weight_sums) const {
  switch (depth_ / kTileDepth) {
    case 2:
      return weigh_keys<2>(rows, reference, weight_sums);
    case 4:
      return weigh_keys<4>(rows, reference, weight_sums);
    case 8:
      return weigh_keys<8>(rows, reference, weight_sums);
    default:
      return weigh_keys<0>(rows, reference, weight_sums);
  }
}

void TileAttention::attend_tile(TileRows& rows, const GroupRows<Value>& out, std::int64_t end) const {
  alignas(64) float sums[kTileSide];
  weigh_all(rows, rows.reference, sums);
  const auto too_large = [](float sum) { return !(sum < kLargestSum); };
  if (std::any_of(std::begin(sums), std::end(sums), too_large)) {
    alignas(64) float largest[kTileSide];
    find_reference(rows, rows.from, rows.until, largest);
    rows.begun = false;
    // Rows must not feel how their neighbours fare.
    for (size_t r = 0; r < kTileSide; ++r)
      if (!too_large(sums[r])) largest[r] = rows.reference[r];
    weigh_all(rows, largest, sums);
  }
  const std::int64_t here = std::min(kTileSide, end - rows.row);
  for (std::int64_t d = 0; d < depth_; d += kValueTiles * kTileSide) {
    if (depth_ - d < kValueTiles * kTileSide) {
      if (d > 0) add_all_values<kValueTiles / 2>(rows, d);
      write_sums<kValueTiles / 2>(sums, out, rows.row, here, d);
    } else {
      if (d > 0) add_all_values<kValueTiles>(rows, d);
      write_sums<kValueTiles>(sums, out, rows.row, here, d);
    }
  }
}

void TileAttention::attend(const GroupRows<const Value>& q, const GroupRows<Value>& out, std::int64_t row) {
  const std::int64_t end = std::min(row + kRows, group_.rows());
  pack_queries(q, row, end - row);
  written();
  TileRows tiles[kRows / kTileSide];
  TileRows* last = tiles;
  for (std::int64_t at = row; at < end; at += kTileSide, ++last) {
    last->begin(group_, at, queries_ + (at - row) * depth_, scores_ + (last - tiles) * 4 * kTileSums);
    find_first_reference(*last);
  }
  for (TileRows* rows = tiles; rows != last; ++rows) attend_tile(*rows, out, end);
}

}  // namespace safetylock
#endif
