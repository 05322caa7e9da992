#include "model/kernels/tile_mlp.h"

#include <algorithm>
#include <array>

#include "model/kernels/gated_lanes.h"
#include "model/kernels/tile_linear.h"
#include "model/kernels/tile_rows.h"

namespace safetylock {

#if defined(SAFETYLOCK_TILES)
namespace {

#define SAFETYLOCK_KERNEL [[SAFETYLOCK_AVX512]] [[gnu::always_inline]] inline

/// Writes act(gate) * up as packed rows; a writer of tile_product.h. Its columns are sixteen of the gate and
/// the same sixteen of up.
struct GateWriter {
  const PackedRows& to;
  bool gelu;

  static std::int64_t steps(const MadeSums& made) { return made.blocks * kTileSide / 2; }
  [[SAFETYLOCK_AVX512]] void write(const MadeSums& made, std::int64_t step) const;
};

/// Sixteen rows of a feature and of the next one, rounded: eight of each in either vector.
SAFETYLOCK_KERNEL Apart two_features(const float* sums) {
  return apart(one_after_other(_mm512_load_ps(sums), _mm512_load_ps(sums + kTileSide)));
}

/// Rounded, each row's two features side by side.
SAFETYLOCK_KERNEL __m512i row_by_row(__m512 even, __m512 odd) {
  alignas(64) static constexpr auto kOrder = [] {
    std::array<std::uint16_t, 32> order{};
    for (size_t row = 0; row < 16; ++row) {
      order[2 * row] = static_cast<std::uint16_t>(row % 2 * 16 + row / 2);
      order[2 * row + 1] = static_cast<std::uint16_t>(order[2 * row] + 8);
    }
    return order;
  }();
  return _mm512_permutexvar_epi16(_mm512_load_si512(kOrder.data()), one_after_other(even, odd));
}

/// Two features of a block of rows.
[[SAFETYLOCK_AVX512]] void GateWriter::write(const MadeSums& made, std::int64_t step) const {
  constexpr std::int64_t kPairs = kTileSide / 2;
  const std::int64_t block = step / kPairs, pair = step % kPairs, feature = made.column + 2 * pair;
  const float *const gates = made.at(block) + 2 * pair * kTileSide, *const ups =
                                                                        gates + kTileSide * kTileSide;
  const Apart gate = two_features(gates), up = two_features(ups);
  const Apart act = apart(side_by_side(activated(gate.even, gelu), activated(gate.odd, gelu)));
  float* const there = to.at(made.block + block, feature / kTileDepth) + feature % kTileDepth / 2 * kTileSide;
  _mm512_store_si512(there, row_by_row(act.even * up.even, act.odd * up.odd));
  ask_for_line(there + kTileSide / 2 * kTileSide);  // the next features'
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
