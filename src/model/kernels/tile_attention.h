// segment_attention in bfloat16 on the matrix tiles of a processor with AMX.
#pragma once

#include <span>

#include "model/kernels/attention_block.h"
#include "model/kernels/line_buffer.h"
#include "model/kernels/tiles.h"

#if defined(SAFETYLOCK_TILES)
namespace safetylock {

/// Keys and values of one group after another, and blocks of its queries. Keys stand as the left factor, so
/// that the scores come out key by key with a row a lane, and become the right factor of the values' product
/// where they are.
class TileAttention {
 public:
  using Value = at::BFloat16;
  static constexpr std::int64_t kRows = 2 * kTileSide;  ///< that `attend` takes

  void gather(const AttentionGroup& group, std::span<const KeyPiece<Value>> pieces);
  /// Rows [row, row + kRows) of the group, or those that it has.
  void attend(const GroupRows<const Value>& q, const GroupRows<Value>& out, std::int64_t row);

 private:
  void turn_values(const Value* rows);
  void pack_queries(const GroupRows<const Value>& q, std::int64_t row, std::int64_t rows);
  void score(std::int64_t from, std::int64_t until);
  void add_values(std::int64_t from, std::int64_t until);

  Tiles tiles_;
  AttentionGroup group_{};
  std::int64_t depth_ = 0, keys_ = 0;  // padded with zeros to whole tiles
  LineBuffer<Value> key_room_, value_room_, turned_room_;
  LineBuffer<std::uint32_t> query_room_, weight_room_;
  LineBuffer<float> score_room_, sum_room_;
  Value* key_rows_ = nullptr;         // [keys_][depth_]
  Value* turned_values_ = nullptr;    // [depth_][keys_]
  std::uint32_t* queries_ = nullptr;  // [2][depth_ / 32] tiles
  std::uint32_t* weights_ = nullptr;  // [keys_ / 32][2] tiles
  float* scores_ = nullptr;           // [keys_][32]
  float* sums_ = nullptr;             // [depth_][32]
};

}  // namespace safetylock
#endif
