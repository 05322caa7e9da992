#include "model/kernels/tile_mlp.h"

#include <algorithm>

#include "model/kernels/gated_lanes.h"
#include "model/kernels/tile_linear.h"
#include "model/kernels/tile_rows.h"

namespace safetylock {

#if defined(SAFETYLOCK_TILES)
namespace {

/// Writes act(gate) * up as packed rows; a writer of tile_product.h. Its columns are sixteen of the gate and
/// the same sixteen of up.
class GateWriter {
 public:
  GateWriter(const PackedRows& to, bool gelu) : to_(to), gelu_(gelu) {}

  float* next(int /*columns*/, int blocks, std::int64_t block, std::int64_t feature) {
    blocks_ = blocks;
    block_ = block;
    feature_ = feature;
    return sums_;
  }
  [[SAFETYLOCK_AVX512]] void write();

 private:
  const PackedRows& to_;
  bool gelu_;
  alignas(64) float sums_[4 * kTileSide * kTileSide];
  std::int64_t block_ = 0, feature_ = 0;
  int blocks_ = 0;
};

/// act(gate) * up of feature i of sixteen, for sixteen rows.
[[SAFETYLOCK_AVX512, gnu::always_inline]] inline __m512 value(const float* gates, const float* ups,
                                                              std::int64_t i, bool gelu) {
  const __m512 act = activated(as_bfloat16(_mm512_load_ps(gates + i * kTileSide)), gelu);
  return as_bfloat16(act) * as_bfloat16(_mm512_load_ps(ups + i * kTileSide));
}

[[SAFETYLOCK_AVX512]] void GateWriter::write() {
  for (int b = 0; b < blocks_; ++b) {
    const float *const gates = sums_ + 2 * b * kTileSide * kTileSide, *const ups =
                                                                          gates + kTileSide * kTileSide;
    float* const to = to_.at(block_ + b, feature_ / kTileDepth) + feature_ % kTileDepth / 2 * kTileSide;
#pragma GCC unroll 8
    for (std::int64_t i = 0; i < kTileSide; i += 2)
      _mm512_store_si512(to + i / 2 * kTileSide,
                         interleaved(value(gates, ups, i, gelu_), value(gates, ups, i + 1, gelu_)));
  }
  blocks_ = 0;
}

}  // namespace

void tile_mlp(const TileMlp& mlp) {
  static thread_local PackedRows packed, between;
  const std::int64_t most = std::min(tile_rows_at_once(mlp.hidden), tile_rows_at_once(mlp.features)),
                     each = even_part(mlp.rows, most, 2 * kTileSide);
  for (std::int64_t row = 0; row < mlp.rows; row += each) {
    const RowsOut to{.y = mlp.y + row * mlp.hidden,
                     .bias = mlp.bias,
                     .rows = std::min(each, mlp.rows - row),
                     .out = mlp.hidden};
    pack_rows(mlp.x + row * mlp.hidden, to.rows, mlp.hidden, packed);
    between.reserve(to.rows, mlp.features);
    const PackedRows& gated = between;
    tile_product({.weight = mlp.gate_up, .in = mlp.hidden, .second = mlp.features}, packed, to.rows,
                 mlp.features, kTileSide, [&] { return GateWriter(gated, mlp.gelu); });
    tile_product({.weight = mlp.down, .in = mlp.features}, gated, to.rows, mlp.hidden, 2 * kTileSide,
                 [&] { return RowWriter(to); });
  }
}

#else

void tile_mlp(const TileMlp&) {}

#endif

}  // namespace safetylock
