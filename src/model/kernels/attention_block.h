// What the kernels of segment_attention share: queries of one segment that share keys and values.
#pragma once

#include <cstdint>

#include "model/kernels/decode_attention.h"

namespace safetylock {

/// Queries of one segment and one key/value head, tokens * R rows of them: the R query heads of a token lie
/// side by side.
struct AttentionGroup {
  std::int64_t tokens, R, D;
  std::int64_t earlier;  ///< keys before the segment's own
  std::int64_t window;   ///< 0: all
  ScoreRule rule;

  std::int64_t rows() const { return tokens * R; }
  std::int64_t keys() const { return earlier + tokens; }
  /// Keys [first_key, end_key) are seen by a row.
  std::int64_t end_key(std::int64_t row) const { return earlier + row / R + 1; }
  std::int64_t first_key(std::int64_t row) const {
    const std::int64_t end = end_key(row);
    return window > 0 && end > window ? end - window : 0;
  }
};

/// Keys and values of one head, n rows, `stride` values apart.
template <typename T>
struct KeyPiece {
  const T *keys, *values;
  std::int64_t stride, n;
};

/// A group's rows in a tensor: tokens `stride` values apart.
template <typename T>
struct GroupRows {
  T* first;
  std::int64_t stride, R, D;

  T* at(std::int64_t row) const { return first + row / R * stride + row % R * D; }
};

}  // namespace safetylock
