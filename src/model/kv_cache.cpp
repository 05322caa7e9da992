#include "model/kv_cache.h"

#include <algorithm>

namespace safetylock {
namespace {

constexpr std::int64_t kGranularity = 64;

}  // namespace

KvCache::KvCache(const ModelConfig& config, std::int64_t slots, const at::TensorOptions& options)
    : kv_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      options_(options),
      keys_(static_cast<size_t>(config.num_hidden_layers)),
      values_(keys_.size()),
      lengths_(static_cast<size_t>(slots), 0) {}

void KvCache::reserve(std::int64_t tokens) {
  if (tokens <= capacity_) return;
  const std::int64_t wanted = std::max(tokens, capacity_ + capacity_ / 2);
  const std::int64_t grown = (wanted + kGranularity - 1) / kGranularity * kGranularity;
  const auto grow = [&](at::Tensor& held) {
    at::Tensor larger = at::zeros({slots(), grown, kv_heads_, head_dim_}, options_);
    if (held.defined()) larger.narrow(1, 0, capacity_).copy_(held);
    held = std::move(larger);
  };
  for (at::Tensor& layer : keys_) grow(layer);
  for (at::Tensor& layer : values_) grow(layer);
  capacity_ = grown;
}

void KvCache::copy_slot(std::int64_t from, std::int64_t to) {
  const std::int64_t tokens = length(from);
  for (auto* side : {&keys_, &values_}) {
    for (const at::Tensor& layer : *side) {
      layer.select(0, to).narrow(0, 0, tokens).copy_(layer.select(0, from).narrow(0, 0, tokens));
    }
  }
  lengths_.at(static_cast<size_t>(to)) = tokens;
}

}  // namespace safetylock
