// Text of the attention kernels, included once for each instruction set (hence no include guard), which
// defines SAFETYLOCK_KERNEL, the attributes of every function here; Lanes, eight or sixteen floats, and
// kLanes. Scores lie key by key, for each of them kVectors vectors with a row a lane.

#include "model/kernels/exponential_body.h"

SAFETYLOCK_KERNEL void load(const float* from, Lanes& out) {
  std::memcpy(&out, from, sizeof out);
}
SAFETYLOCK_KERNEL void store(const Lanes& value, float* to) {
  std::memcpy(to, &value, sizeof value);
}

/// c tanh(x / c) for x scaled already.
SAFETYLOCK_KERNEL void cap(float limit, Lanes& x) {
  Lanes e = (x < 0.0F ? x : -x) * (2 / limit);
  exponential(e);
  const Lanes size = limit * (1.0F - e) / (1.0F + e);
  x = x < 0.0F ? -size : size;
}

/// Which keys some rows see.
template <int kVectors>
struct Sight {
  std::int64_t begin, end;               ///< any of the rows
  std::int64_t all_from, all_until;      ///< all of them, if this is not empty
  Ints first[kVectors], last[kVectors];  ///< each row [first, last)

  SAFETYLOCK_KERNEL bool by_all(std::int64_t key) const { return key >= all_from && key < all_until; }
  /// Of a key that not all see.
  SAFETYLOCK_KERNEL void keep(std::int64_t key, int v, float otherwise, Lanes& x) const {
    const Ints here = Ints{} + static_cast<std::int32_t>(key);
    x = (here >= first[v]) & (here < last[v]) ? x : Lanes{} + otherwise;
  }
};

/// Of the rows from `row` on; those that the last vector lacks see what the last row sees.
template <int kVectors>
SAFETYLOCK_KERNEL void sight_of(const AttentionGroup& g, std::int64_t row, Sight<kVectors>& sight) {
  const std::int64_t last = std::min(row + kVectors * kLanes, g.rows()) - 1;
  std::int64_t end = g.end_key(row), head = row % g.R;
  for (std::int64_t i = 0; i < kVectors * kLanes; ++i) {
    sight.first[i / kLanes][i % kLanes] = static_cast<std::int32_t>(g.first_before(end));
    sight.last[i / kLanes][i % kLanes] = static_cast<std::int32_t>(end);
    if (row + i < last && ++head == g.R) {
      head = 0;
      ++end;
    }
  }
  sight.begin = g.first_key(row);
  sight.end = g.end_key(last);
  sight.all_from = g.first_key(last);
  sight.all_until = g.end_key(row);
}

/// The largest score of each row, after the cap. NaN is passed over here, and stays in the scores.
template <int kVectors>
SAFETYLOCK_KERNEL void find_largest(const Sight<kVectors>& sight, ScoreRule rule, float* scores,
                                    Lanes (&largest)[kVectors]) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  for (int v = 0; v < kVectors; ++v) largest[v] = Lanes{} + kLowest;
  for (std::int64_t key = sight.begin; key < sight.end; ++key) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      float* const place = scores + (key * kVectors + v) * kLanes;
      Lanes x;
      load(place, x);
      if (rule.softcap > 0) {
        x *= rule.scale;
        cap(rule.softcap, x);
        store(x, place);
      }
      if (!sight.by_all(key)) sight.keep(key, v, kLowest, x);
      largest[v] = x > largest[v] ? x : largest[v];
    }
  }
}

/// What a score counts against the row's largest one, not yet divided by the sum over keys.
template <int kVectors>
SAFETYLOCK_KERNEL void weight_of(const Sight<kVectors>& sight, float scale, const Lanes& largest,
                                 std::int64_t key, int v, Lanes& x) {
  x = (x - largest) * scale;
  exponential(x);
  if (!sight.by_all(key)) sight.keep(key, v, 0, x);
}
