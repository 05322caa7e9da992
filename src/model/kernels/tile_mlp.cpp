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
struct GateWriter {
  const PackedRows& to;
  bool gelu;

  static std::int64_t steps(const MadeSums& made) { return made.blocks * kTileSide / 2; }
  [[SAFETYLOCK_AVX512]] void write(const MadeSums& made, std::int64_t step) const;
};

/// act(gate) * up of feature i of sixteen, for sixteen rows.
[[SAFETYLOCK_AVX512, gnu::always_inline]] inline __m512 value(const float* gates, const float* ups,
                                                              std::int64_t i, bool gelu) {
  const __m512 act = activated(as_bfloat16(_mm512_load_ps(gates + i * kTileSide)), gelu);
  return as_bfloat16(act) * as_bfloat16(_mm512_load_ps(ups + i * kTileSide));
}

/// Two features of a block of rows.
[[SAFETYLOCK_AVX512]] void GateWriter::write(const MadeSums& made, std::int64_t step) const {
  constexpr std::int64_t kPairs = kTileSide / 2;
  const std::int64_t block = step / kPairs, pair = step % kPairs, feature = made.column + 2 * pair;
  const float *const gates = made.at(block), *const ups = gates + kTileSide * kTileSide;
  _mm512_store_si512(to.at(made.block + block, feature / kTileDepth) + feature % kTileDepth / 2 * kTileSide,
                     interleaved(value(gates, ups, 2 * pair, gelu), value(gates, ups, 2 * pair + 1, gelu)));
}

}  // namespace

void tile_mlp(const TileMlp& mlp) {
  static thread_local PackedRows packed, between;
  const std::int64_t most = std::min(tile_rows_at_once(mlp.hidden), tile_rows_at_once(mlp.features)),
                     each = even_part(mlp.rows, most, 2 * kTileSide);
  for (std::int64_t row = 0; row < mlp.rows; row += each) {
    const RowWriter to{.y = mlp.y + row * mlp.hidden,
                       .bias = mlp.bias,
                       .rows = std::min(each, mlp.rows - row),
                       .out = mlp.hidden,
                       .adds = mlp.adds};
    pack_rows(mlp.x + row * mlp.hidden, mlp.norm, to.rows, mlp.hidden, packed);
    between.reserve(to.rows, mlp.features);
    const PackedRows& gated = between;
    tile_product({.weight = mlp.gate_up, .in = mlp.hidden, .second = mlp.features}, packed, to.rows,
                 mlp.features, kTileSide, GateWriter{.to = gated, .gelu = mlp.gelu});
    tile_product({.weight = mlp.down, .in = mlp.features}, gated, to.rows, mlp.hidden, 2 * kTileSide, to);
  }
}

#else

void tile_mlp(const TileMlp&) {}

#endif

}  // namespace safetylock
