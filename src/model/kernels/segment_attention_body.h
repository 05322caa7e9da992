// The kernel's text, included once for each instruction set by segment_attention.cpp (hence no include
// guard), behind softmax_body.h and with what that asks for. Products are tiles of kTile values along keys or
// dimensions, which are broadcast, by kVectors of rows.

/// out[t][row] = sum over s of left[t * across + s * along] right[s][row], t < kTile.
template <int kVectors>
SAFETYLOCK_KERNEL void tile(const float* left, std::int64_t across, std::int64_t along, const float* right,
                            std::int64_t steps, float* out) {
  Lanes sum[kTile][kVectors] = {};
  for (std::int64_t s = 0; s < steps; ++s) {
    Lanes r[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) load(right + (s * kVectors + v) * kLanes, r[v]);
#pragma GCC unroll 8
    for (int t = 0; t < kTile; ++t) {
      const float value = left[t * across + s * along];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sum[t][v] += value * r[v];
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTile; ++t) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(sum[t][v], out + (t * kVectors + v) * kLanes);
  }
}

/// Queries [rows][depth] to [depth][kVectors * kLanes], or back with the rows beyond them left out.
template <int kVectors>
SAFETYLOCK_KERNEL void turn_in(const float* from, std::int64_t depth, std::int64_t rows, float* to) {
  for (int v = 0; v < kVectors; ++v) {
    for (std::int64_t d = 0; d < depth; d += kLanes) {
      Lanes block[kLanes] = {};
      for (int r = 0; r < kLanes; ++r) {
        if (v * kLanes + r < rows) load(from + (v * kLanes + r) * depth + d, block[r]);
      }
      transpose(block);
      for (int r = 0; r < kLanes; ++r) store(block[r], to + ((d + r) * kVectors + v) * kLanes);
    }
  }
}
template <int kVectors>
SAFETYLOCK_KERNEL void turn_out(const float* from, std::int64_t depth, std::int64_t rows,
                                const Lanes (&factors)[kVectors], float* to) {
  for (int v = 0; v < kVectors; ++v) {
    for (std::int64_t d = 0; d < depth; d += kLanes) {
      Lanes block[kLanes];
      for (int r = 0; r < kLanes; ++r) {
        load(from + ((d + r) * kVectors + v) * kLanes, block[r]);
        block[r] *= factors[v];
      }
      transpose(block);
      for (int r = 0; r < kLanes; ++r) {
        if (v * kLanes + r < rows) store(block[r], to + (v * kLanes + r) * depth + d);
      }
    }
  }
}

template <int kVectors>
SAFETYLOCK_KERNEL void attend_rows(const AttentionGroup& g, const FloatBlock& b, std::int64_t row,
                                   std::int64_t rows) {
  Sight<kVectors> sight;
  sight_of(g, row, sight);
  turn_in<kVectors>(b.rows, b.depth, rows, b.turned);
  for (std::int64_t key = sight.begin / kTile * kTile; key < sight.end; key += kTile)
    tile<kVectors>(b.keys + key * b.depth, b.depth, 1, b.turned, b.depth, b.scores + key * kVectors * kLanes);
  Lanes largest[kVectors], sum[kVectors] = {};
  find_largest(sight, g.rule, b.scores, largest);
  const float scale = g.rule.softcap > 0 ? 1.0F : g.rule.scale;
  for (std::int64_t key = sight.begin; key < sight.end; ++key) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* const place = b.scores + (key * kVectors + v) * kLanes;
      Lanes x;
      load(place, x);
      weight_of(sight, scale, largest[v], key, v, x);
      sum[v] += x;
      store(x, place);
    }
  }
  for (std::int64_t d = 0; d < b.depth; d += kTile) {
    tile<kVectors>(b.values + sight.begin * b.depth + d, 1, b.depth,
                   b.scores + sight.begin * kVectors * kLanes, sight.end - sight.begin,
                   b.turned + d * kVectors * kLanes);
  }
  for (int v = 0; v < kVectors; ++v) sum[v] = 1.0F / sum[v];
  turn_out<kVectors>(b.turned, b.depth, rows, sum, b.rows);
}

/// Rows [row, row + 2 kLanes) of the group, or those that it has.
SAFETYLOCK_KERNEL_ENTRY void attend_block(const AttentionGroup& g, const FloatBlock& b, std::int64_t row) {
  const std::int64_t rows = std::min<std::int64_t>(2 * kLanes, g.rows() - row);
  if (rows > kLanes) {
    attend_rows<2>(g, b, row, rows);
  } else {
    attend_rows<1>(g, b, row, rows);
  }
}
