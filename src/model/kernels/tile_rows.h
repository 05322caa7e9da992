// Rows of x to the tiles of a product, and its sums to rows of y.
#pragma once

#include "model/kernels/tile_product.h"

#if defined(SAFETYLOCK_TILES)
namespace safetylock {

/// x [rows, in] as tiles, on all threads.
void pack_rows(const at::BFloat16* x, std::int64_t rows, std::int64_t in, PackedRows& packed);

struct RowsOut {
  at::BFloat16* y;           ///< [rows, out]
  const at::BFloat16* bias;  ///< [out] or null
  std::int64_t rows, out;
};

/// Writes sums, with the bias, rounded, to rows of y; a writer of tile_product.h.
class RowWriter {
 public:
  explicit RowWriter(const RowsOut& to) : to_(to) {}

  float* next(int columns, int blocks, std::int64_t block, std::int64_t column) {
    columns_ = columns;
    blocks_ = blocks;
    row_ = block * kTileSide;
    column_ = column;
    return sums_;
  }
  void write();

 private:
  RowsOut to_;
  alignas(64) float sums_[4 * kTileSide * kTileSide];
  std::int64_t row_ = 0, column_ = 0;
  int columns_ = 0, blocks_ = 0;
};

}  // namespace safetylock
#endif
