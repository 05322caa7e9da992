// down(act(gate(x)) * up(x)) in bfloat16 on the matrix tiles of a processor with AMX, without ever writing
// gate(x) and up(x), perhaps of x's norm and added to x: sums of both become the packed rows of the product
// with `down` where they lie.
#pragma once

#include <cstdint>

#include "model/kernels/tile_linear.h"
#include "model/torch_includes.h"

namespace safetylock {

struct TileMlp {
  const at::BFloat16* x;        ///< [rows, hidden]
  TileNorm norm;                ///< of x, before
  const at::BFloat16* gate_up;  ///< [2 features, hidden]
  const at::BFloat16* down;     ///< [hidden, features]
  const at::BFloat16* bias;     ///< [hidden], of `down`, or null
  at::BFloat16* y;              ///< [rows, hidden]; may be x where `adds`
  bool adds;                    ///< to y, the product rounded before
  std::int64_t rows, hidden, features;
  bool gelu;  ///< gelu_pytorch_tanh, else silu
};

/// Where the host has InstructionSet::amx and fits_tiles(hidden) and fits_tiles(features). The same values as
/// tile_linear, gated_activation and tile_linear again: rounded at the same places.
void tile_mlp(const TileMlp& mlp);

}  // namespace safetylock
