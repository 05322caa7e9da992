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
  std::int64_t first_key(std::int64_t row) const { return first_before(end_key(row)); }
  std::int64_t first_before(std::int64_t end) const { return window > 0 && end > window ? end - window : 0; }
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
};

/// Where a group's rows lie from `row` on, one after another: without a division for each.
template <typename T>
class RowPlaces {
 public:
  RowPlaces(const GroupRows<T>& rows, std::int64_t row)
      : rows_(rows), token_(rows.first + row / rows.R * rows.stride), head_(row % rows.R) {}

  T* next() {
    T* const here = token_ + head_ * rows_.D;
    if (++head_ == rows_.R) {
      head_ = 0;
      token_ += rows_.stride;
    }
    return here;
  }

 private:
  GroupRows<T> rows_;
  T* token_;
  std::int64_t head_;
};

}  // namespace safetylock
