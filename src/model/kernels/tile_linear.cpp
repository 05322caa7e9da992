#include "model/kernels/tile_linear.h"

#if defined(__x86_64__) && defined(__linux__)
#define SAFETYLOCK_TILES
#include <ATen/Parallel.h>
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "model/kernels/lane_transpose.h"
#endif

namespace safetylock {

#if defined(SAFETYLOCK_TILES)

// As in cpu_linear.cpp: everything that passes vectors is inlined, and GCC bug 105593.
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#define SAFETYLOCK_AVX512 \
  gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,prefer-vector-width=512")

namespace {

/// A tile: 16 rows of 64 bytes. Of W that is 16 rows of 32 values; of x 32 values of 16 rows, two of a row
/// side by side; of the sums 16 columns of y for 16 rows, in float32.
constexpr std::int64_t kSide = 16, kDepth = 32, kTileValues = kSide * kDepth;

/// What ldtilecfg reads. A constant, since GCC 12 takes it to read eight bytes, and would not write the
/// others.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {kSide, kSide, kSide, kSide, kSide, kSide, kSide, kSide};
};
constexpr TileConfig kAllTiles;

/// All eight tiles of a thread at their full size, while it lives. What is left behind would slow down
/// whoever runs next on this core.
class Tiles {
 public:
  [[gnu::target("amx-tile")]] Tiles() { _tile_loadconfig(&kAllTiles); }
  [[gnu::target("amx-tile")]] ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

using Lanes = float __attribute__((vector_size(64)));

/// x as tiles, [rows / 16, in / 32] of them, with zeros for the rows that the last ones lack. In units of 32
/// bits, two values, each is a transposed block of x.
struct PackedRows {
  std::vector<float> pairs;
  const std::byte* tiles = nullptr;  // 64 bytes apart from any other line
  std::int64_t deep = 0;             // tiles along `in`

  const std::byte* at(std::int64_t block, std::int64_t k) const {
    return tiles + (block * deep + k) * kTileValues * static_cast<std::int64_t>(sizeof(at::BFloat16));
  }
};

[[SAFETYLOCK_AVX512]] void pack_tile(const TileProduct& p, std::int64_t block, std::int64_t k, float* to) {
  Lanes pairs[kSide] = {};
  const std::int64_t rows = std::min(kSide, p.rows - block * kSide);
  for (std::int64_t r = 0; r < rows; ++r)
    std::memcpy(&pairs[r], p.x + (block * kSide + r) * p.in + k * kDepth, sizeof pairs[r]);
  transpose(pairs);
  std::memcpy(to, pairs, sizeof pairs);
}

/// Multiplications below which handing work to another thread costs more than it saves.
constexpr std::int64_t kWorkPerThread = 1 << 20;
constexpr std::int64_t kTileFloats = kTileValues / 2;

void pack(const TileProduct& p, PackedRows& packed) {
  const std::int64_t blocks = (p.rows + kSide - 1) / kSide;
  packed.deep = p.in / kDepth;
  constexpr std::int64_t kLine = 64 / sizeof(float);
  packed.pairs.resize(static_cast<size_t>(blocks * packed.deep * kTileFloats + kLine));
  void* begin = packed.pairs.data();
  size_t room = packed.pairs.size() * sizeof(float);
  auto* const to = static_cast<float*>(std::align(64, kSide, begin, room));
  packed.tiles = reinterpret_cast<const std::byte*>(to);
  at::parallel_for(0, blocks * packed.deep, 256, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t t = first; t < last; ++t)
      pack_tile(p, t / packed.deep, t % packed.deep, to + t * kTileFloats);
  });
}

/// Sums [16 columns][16 rows of x] to y[rows][16 columns].
[[SAFETYLOCK_AVX512]] void finish(const TileProduct& p, const float* sums, std::int64_t row,
                                  std::int64_t column) {
  Lanes values[kSide];
  std::memcpy(values, sums, sizeof values);
  transpose(values);
  Lanes bias = {};
  if (p.bias != nullptr) {
    const __m512i wide =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p.bias + column)));
    bias = _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  const std::int64_t rows = std::min(kSide, p.rows - row);
#pragma GCC unroll 16
  for (std::int64_t r = 0; r < kSide; ++r) {
    if (r >= rows) break;
    const Lanes value = values[r] + bias;
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i nearest =
        _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    const __m512i halves = _mm512_mask_mov_epi32(nearest, _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q),
                                                 _mm512_set1_epi32(0x7fc0));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p.y + (row + r) * p.out + column),
                        _mm512_cvtepi32_epi16(halves));
  }
}

/// How far ahead of the sums weights are asked for, along their rows and from the end of these at the next
/// columns' beginning: a rows' worth of 9,000 values does not last until its turn.
constexpr std::int64_t kTilesAhead = 32;

/// y of 16 kColumns columns from `column` and 16 kBlocks rows from block `block` of them. With kAhead
/// weights are asked for ahead: 32 rows at once are more than the processor follows by itself.
template <int kColumns, int kBlocks, bool kAhead>
void block_of(const TileProduct& p, const PackedRows& x, std::int64_t column, std::int64_t block) {
  const at::BFloat16* const w = p.weight + column * p.in;
  const std::int64_t stride = p.in * static_cast<std::int64_t>(sizeof(at::BFloat16));
  _tile_zero(0);
  if constexpr (kBlocks > 1) _tile_zero(1);
  if constexpr (kColumns > 1) _tile_zero(2);
  if constexpr (kColumns > 1 && kBlocks > 1) _tile_zero(3);
  for (std::int64_t k = 0; k < x.deep; ++k) {
    _tile_loadd(4, w + k * kDepth, stride);
    _tile_loadd(6, x.at(block, k), 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kBlocks > 1) {
      _tile_loadd(7, x.at(block + 1, k), 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kColumns > 1) {
      _tile_loadd(5, w + kSide * p.in + k * kDepth, stride);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kBlocks > 1) _tile_dpbf16ps(3, 5, 7);
    }
    if constexpr (kAhead) {
      const std::int64_t later = k + std::min(x.deep, kTilesAhead);
      const at::BFloat16* const next =
          w + later * kDepth + (later < x.deep ? 0 : (kColumns * kSide - 1) * p.in);
#pragma GCC unroll 32
      for (std::int64_t r = 0; r < kColumns * kSide; ++r) __builtin_prefetch(next + r * p.in, 0, 2);
    }
  }
  alignas(64) float sums[kSide * kSide];
  const auto write = [&](int c, int b) { finish(p, sums, (block + b) * kSide, column + c * kSide); };
  _tile_stored(0, sums, 64);
  write(0, 0);
  if constexpr (kBlocks > 1) {
    _tile_stored(1, sums, 64);
    write(0, 1);
  }
  if constexpr (kColumns > 1) {
    _tile_stored(2, sums, 64);
    write(1, 0);
  }
  if constexpr (kColumns > 1 && kBlocks > 1) {
    _tile_stored(3, sums, 64);
    write(1, 1);
  }
}

/// All rows of y in 16 kColumns columns.
template <int kColumns>
void all_rows(const TileProduct& p, const PackedRows& x, std::int64_t column) {
  const std::int64_t blocks = (p.rows + kSide - 1) / kSide;
  if (blocks == 1) return block_of<kColumns, 1, true>(p, x, column, 0);
  block_of<kColumns, 2, true>(p, x, column, 0);
  std::int64_t b = 2;
  for (; b + 2 <= blocks; b += 2) block_of<kColumns, 2, false>(p, x, column, b);
  if (b < blocks) block_of<kColumns, 1, false>(p, x, column, b);
}

}  // namespace

bool host_has_tiles() {
  static const bool has = [] {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
    constexpr unsigned kBFloat16Tiles = 1U << 22, kTiles = 1U << 24;
    if ((edx & kBFloat16Tiles) == 0 || (edx & kTiles) == 0 || !__builtin_cpu_supports("avx512f") ||
        !__builtin_cpu_supports("avx512bw"))
      return false;
    constexpr int kAskForState = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
  }();
  return has;
}

std::int64_t tile_linear(const TileProduct& p) {
  // Kept by each thread that asks for products: a step of decoding asks for hundreds of the same sizes.
  static thread_local PackedRows packed;
  pack(p, packed);
  const PackedRows& x = packed;
  const std::int64_t pairs = p.out / (2 * kSide), work = 2 * kSide * p.in * p.rows;
  at::parallel_for(0, pairs, std::max<std::int64_t>(1, kWorkPerThread / work),
                   [&](std::int64_t begin, std::int64_t end) {
                     const Tiles tiles;
                     for (std::int64_t c = begin; c < end; ++c) all_rows<2>(p, x, c * 2 * kSide);
                   });
  if (p.out % (2 * kSide) < kSide) return pairs * 2 * kSide;
  const Tiles tiles;
  all_rows<1>(p, x, pairs * 2 * kSide);
  return (pairs * 2 + 1) * kSide;
}

#else

bool host_has_tiles() {
  return false;
}

std::int64_t tile_linear(const TileProduct&) {
  return 0;
}

#endif

}  // namespace safetylock
