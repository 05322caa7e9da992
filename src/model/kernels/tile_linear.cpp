#include "model/kernels/tile_linear.h"

#include <algorithm>

#include "model/kernels/cpu_clones.h"
#include "model/kernels/tile_rows.h"

namespace safetylock {

#if defined(SAFETYLOCK_TILES)

static_assert(kTileColumns == kTileSide);

std::int64_t tile_linear(const TileProduct& p) {
  // Kept by each thread that asks for products: a step of decoding asks for hundreds of the same sizes.
  static thread_local PackedRows packed;
  const std::int64_t each = even_part(p.rows, tile_rows_at_once(p.in), 2 * kTileSide);
  for (std::int64_t row = 0; row < p.rows; row += each) {
    const RowWriter to{
        .y = p.y + row * p.out, .bias = p.bias, .rows = std::min(each, p.rows - row), .out = p.out};
    pack_rows(p.x + row * p.in, p.norm, to.rows, p.in, packed);
    tile_product({.weight = p.weight, .in = p.in}, packed, to.rows, p.out, 2 * kTileSide, to);
  }
  return p.out / kTileColumns * kTileColumns;
}

#else

std::int64_t tile_linear(const TileProduct&) {
  return 0;
}

#endif

}  // namespace safetylock
