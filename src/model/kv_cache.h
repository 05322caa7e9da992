// Keys and values of the tokens seen so far, for a number of requests.
//
// Thread rule: belongs to one generation; not shared.
#pragma once

#include <cstdint>
#include <vector>

#include "model/kernels/heads.h"
#include "safetylock/model_config.h"

namespace safetylock {

class KvCache {
 public:
  KvCache(const ModelConfig& config, std::int64_t slots, const at::TensorOptions& options);

  std::int64_t slots() const noexcept { return static_cast<std::int64_t>(lengths_.size()); }
  std::int64_t length(std::int64_t slot) const { return lengths_.at(static_cast<size_t>(slot)); }
  std::int64_t capacity() const noexcept { return capacity_; }  ///< C, tokens a slot can hold now

  /// Makes room for `tokens` in every slot; grows by at least half, so that appending stays cheap.
  void reserve(std::int64_t tokens);
  /// Keys or values of a layer, [slots, C, G, D]; rows at and beyond a slot's length are zero or stale but
  /// finite.
  const at::Tensor& keys(std::int64_t layer) const { return keys_.at(static_cast<size_t>(layer)); }
  const at::Tensor& values(std::int64_t layer) const { return values_.at(static_cast<size_t>(layer)); }
  /// Puts keys and values [N, G, D] of a layer at `rows` [N] int64 of
  /// [slots * C, G, D]; all on the model's device. They are not counted yet.
  void write(std::int64_t layer, const at::Tensor& rows, const Heads& keys, const Heads& values) const;
  /// Counts `tokens` more in `slot`, once all layers have written them.
  void advance(std::int64_t slot, std::int64_t tokens) { lengths_.at(static_cast<size_t>(slot)) += tokens; }

  void clear(std::int64_t slot) { lengths_.at(static_cast<size_t>(slot)) = 0; }
  /// Copies slot `from` over slot `to`.
  void copy_slot(std::int64_t from, std::int64_t to);

 private:
  std::int64_t kv_heads_, head_dim_, capacity_ = 0;
  at::TensorOptions options_;
  std::vector<at::Tensor> keys_, values_;  // a layer each
  std::vector<std::int64_t> lengths_;      // a slot each
};

}  // namespace safetylock
