// segment_attention in bfloat16 on the matrix tiles of a processor with AMX.
#pragma once

#include <span>

#include "model/kernels/attention_block.h"
#include "model/kernels/line_buffer.h"
#include "model/kernels/tiles.h"

#if defined(SAFETYLOCK_TILES)
namespace safetylock {

/// Keys and values of one group, packed, and blocks of its queries. A row of the left factor is a query, so
/// that its scores lie side by side, and so do its weights, which are the left factor of the values' product.
/// While vectors turn scores of 32 keys to weights, the tiles make the next 32 keys' scores. No score waits
/// for the largest of all keys: the largest of the first 32 serves as well. Rows that later find one so much
/// larger that their weights overflow begin anew.
class TileAttention {
 public:
  using Value = at::BFloat16;
  static constexpr std::int64_t kRows = 4 * kTileSide;  ///< that `attend` takes

  void gather(const AttentionGroup& group, std::span<const KeyPiece<Value>> pieces);
  /// Rows [row, row + kRows) of the group, or those that it has.
  void attend(const GroupRows<const Value>& q, const GroupRows<Value>& out, std::int64_t row);

 private:
  struct TileRows;

  void pack_queries(const GroupRows<const Value>& q, std::int64_t row, std::int64_t rows);
  void score(const TileRows& rows, std::int64_t key, float* to) const;
  void find_reference(const TileRows& rows, std::int64_t from, std::int64_t until, float* reference) const;
  void find_first_reference(TileRows& rows) const;
  template <int kDeep>
  void weigh_keys(const TileRows& rows, const float* reference, float* weight_sums) const;
  void weigh_all(const TileRows& rows, const float* reference, float* weight_sums) const;
  void attend_tile(TileRows& rows, const GroupRows<Value>& out, std::int64_t end) const;
  template <int kTiles>
  void add_values(std::int64_t key, std::int64_t d) const;
  template <int kTiles>
  void add_all_values(const TileRows& rows, std::int64_t d) const;

  Tiles tiles_;
  AttentionGroup group_{};
  std::int64_t depth_ = 0;  // padded with zeros to whole tiles
  LineBuffer<Value> key_room_, value_room_, query_room_, weight_room_;
  LineBuffer<float> score_room_;
  Value* keys_ = nullptr;     // [keys / 16][depth_ / 32] tiles
  Value* values_ = nullptr;   // [keys / 32][depth_ / 16] tiles
  Value* queries_ = nullptr;  // [kRows / 16][depth_ / 32] tiles
  Value* weights_ = nullptr;  // [keys / 32] tiles
  float* scores_ = nullptr;   // [kRows / 16] of TileRows
  float scale_ = 0;           // of scores, to powers of two
};

}  // namespace safetylock
#endif
