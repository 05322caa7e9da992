#include "model/kv_cache.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace safetylock {
namespace {

constexpr std::int64_t kGranularity = 64;

/// To rows of `to` [slots, C, G, D].
void write_rows(const at::Tensor& to, const at::Tensor& rows, const Heads& from) {
  if (!from.is_cpu()) {
    to.flatten(0, 1).index_copy_(0, rows, from.tensor());
    return;
  }
  const std::size_t size = to.element_size(), bytes = static_cast<size_t>(from.count() * from.dim()) * size,
                    stride = static_cast<size_t>(from.stride()) * size;
  auto* const target = static_cast<std::byte*>(to.mutable_data_ptr());
  const auto* const source = static_cast<const std::byte*>(from.data());
  const auto* const places = rows.const_data_ptr<std::int64_t>();
  const auto rows_at_once = static_cast<std::int64_t>((1 << 16) / bytes + 1);
  at::parallel_for(0, rows.size(0), rows_at_once, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      std::memcpy(target + static_cast<size_t>(places[i]) * bytes, source + static_cast<size_t>(i) * stride,
                  bytes);
  });
}

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

void KvCache::write(std::int64_t layer, const at::Tensor& rows, const Heads& keys,
                    const Heads& values) const {
  write_rows(this->keys(layer), rows, keys);
  write_rows(this->values(layer), rows, values);
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
