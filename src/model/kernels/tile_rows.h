// Rows of x to the tiles of a product, and its sums to rows of y.
#pragma once

#include "model/kernels/tile_linear.h"
#include "model/kernels/tile_product.h"

#if defined(SAFETYLOCK_TILES)
namespace safetylock {

/// x [rows, in], or its norm, as tiles, on all threads.
void pack_rows(const at::BFloat16* x, const TileNorm& norm, std::int64_t rows, std::int64_t in,
               PackedRows& packed);

/// Writes sums, with the bias, rounded, to rows of y, or adds them to these; a writer of tile_product.h.
struct RowWriter {
  at::BFloat16* y;           ///< [rows, out]
  const at::BFloat16* bias;  ///< [out] or null
  std::int64_t rows, out;
  bool adds = false;

  static std::int64_t steps(const MadeSums& made) { return made.blocks; }
  void write(const MadeSums& made, std::int64_t step) const;
};

}  // namespace safetylock
#endif
