// x W^T in bfloat16 on the matrix tiles of a processor with AMX.
#pragma once

#include <cstdint>

#include "model/kernels/instruction_set.h"
#include "model/kernels/rms_norm.h"
#include "model/torch_includes.h"

namespace safetylock {

/// Rows from which on tiles, of sixteen rows, pay: fewer multiply as fast as the weights are read.
constexpr std::int64_t kTilesFrom = 5;

/// Of these, or a whole number of them, are the columns that tile_linear makes.
constexpr std::int64_t kTileColumns = 16;

/// Whether tile_linear takes rows of so many values.
constexpr bool fits_tiles(std::int64_t in) {
  return in % 32 == 0;
}

/// Whether x [rows, in] W^T is made on tiles.
inline bool is_for_tiles(InstructionSet set, at::ScalarType dtype, std::int64_t rows, std::int64_t in) {
  return set == InstructionSet::amx && dtype == at::kBFloat16 && rows >= kTilesFrom && fits_tiles(in);
}

/// As normalise_row.
struct TileNorm {
  const at::BFloat16* weight = nullptr;  ///< of rows' values; null: none
  float eps = 0;
  bool unit_offset = false;
};

inline TileNorm tile_norm(const Norm& norm) {
  return {.weight = norm.weight.const_data_ptr<at::BFloat16>(),
          .eps = static_cast<float>(norm.rule.eps),
          .unit_offset = norm.rule.unit_offset};
}

struct TileProduct {
  const at::BFloat16* x;       ///< [rows, in]
  TileNorm norm;               ///< of x, before
  const at::BFloat16* weight;  ///< [out, in]
  const at::BFloat16* bias;    ///< [out] or null
  at::BFloat16* y;             ///< [rows, out]
  std::int64_t rows, in, out;
};

/// Of contiguous tensors; `bias` may be undefined.
inline TileProduct product_on_tiles(const at::Tensor& x, TileNorm norm, const at::Tensor& weight,
                                    const at::Tensor& bias, const at::Tensor& y) {
  return {.x = x.const_data_ptr<at::BFloat16>(),
          .norm = norm,
          .weight = weight.const_data_ptr<at::BFloat16>(),
          .bias = bias.defined() ? bias.const_data_ptr<at::BFloat16>() : nullptr,
          .y = y.mutable_data_ptr<at::BFloat16>(),
          .rows = y.size(0),
          .in = weight.size(1),
          .out = weight.size(0)};
}

/// Makes the first columns of y, as many sixteens as there are, and returns their number; where
/// the host has InstructionSet::amx and fits_tiles(in). Weights are read as they are stored. Sums are float32
/// and rounded once; numbers below 2^-126 count as 0, as these instructions have it. A value depends neither
/// on the other rows nor on the threads.
std::int64_t tile_linear(const TileProduct& product);

}  // namespace safetylock
