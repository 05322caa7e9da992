// The matrix tiles of a processor with AMX (InstructionSet::amx).
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define SAFETYLOCK_TILES
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

/// What every processor with such tiles has besides.
#define SAFETYLOCK_AVX512 \
  gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c,prefer-vector-width=512")

namespace safetylock {

/// A tile: 16 rows of 64 bytes. Of a left factor that is 16 rows of 32 bfloat16; of a right one 32 values of
/// 16 columns, two of a column side by side; of the sums 16 by 16 float32.
constexpr std::int64_t kTileSide = 16, kTileDepth = 32, kTileValues = kTileSide * kTileDepth;

/// What ldtilecfg reads. A constant, since GCC 12 takes it to read eight bytes, and would not write the
/// others.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {kTileSide, kTileSide, kTileSide, kTileSide,
                           kTileSide, kTileSide, kTileSide, kTileSide};
};
inline constexpr TileConfig kAllTiles;

/// All eight tiles of a thread at their full size, while it lives. What is left behind would slow down
/// whoever runs next on this core.
class Tiles {
 public:
  [[gnu::target("amx-tile")]] Tiles() { _tile_loadconfig(&kAllTiles); }
  [[gnu::target("amx-tile")]] ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

}  // namespace safetylock
#endif
