#include "model/attention.h"

#include <algorithm>
#include <limits>
#include <map>

#include "model/kernels/decode_attention.h"

namespace safetylock {
namespace {

/// [1, heads, tokens, D] as scaled_dot_product_attention wants it, from [tokens, heads, D].
at::Tensor as_heads(const at::Tensor& rows) {
  return rows.transpose(0, 1).unsqueeze(0);
}

std::int64_t cached(const KvCache* cache, const Segment& segment) {
  return segment.slot < 0 ? 0 : cache->length(segment.slot);
}

/// True when the batch is one token for each of slots 0, 1, 2 ...
bool is_decode_step(const PackedBatch& batch) {
  for (size_t i = 0; i < batch.segments.size(); ++i) {
    const Segment& s = batch.segments[i];
    if (s.length != 1 || s.slot != static_cast<std::int64_t>(i) || !s.parents.empty()) return false;
  }
  return true;
}

constexpr double kNegativeInfinity = -std::numeric_limits<double>::infinity();

/// [length, earlier + length]: 0 where a query may look, all earlier keys and its own kind causally; else
/// -infinity.
at::Tensor causal_mask(std::int64_t length, std::int64_t earlier, const at::TensorOptions& options) {
  return at::full({length, earlier + length}, kNegativeInfinity, options).triu_(earlier + 1);
}

/// [B, 1, 1, longest]: 0 for the keys that each request has, else -infinity.
at::Tensor length_mask(const std::vector<std::int64_t>& lengths, const at::TensorOptions& options) {
  const std::int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  const at::Tensor beyond =
      at::arange(longest, at::kLong).unsqueeze(0) >= at::tensor(lengths, at::kLong).unsqueeze(1);
  return at::zeros(beyond.sizes(), at::kFloat)
      .masked_fill_(beyond, kNegativeInfinity)
      .to(options)
      .unsqueeze(1)
      .unsqueeze(1);
}

}  // namespace

AttentionPlan::AttentionPlan(const PackedBatch& batch, const KvCache* cache, const at::TensorOptions& options)
    : batch_(batch), cache_(cache), masks_(batch.segments.size()) {
  decoding_ = cache != nullptr && is_decode_step(batch);
  std::map<std::pair<std::int64_t, std::int64_t>, at::Tensor> made;
  std::vector<std::int64_t> rows;
  for (size_t i = 0; i < batch.segments.size(); ++i) {
    const Segment& segment = batch.segments[i];
    std::int64_t earlier = cached(cache, segment);
    if (segment.slot >= 0) {
      for (std::int64_t t = 0; t < segment.length; ++t)
        rows.push_back(segment.slot * cache->capacity() + earlier + t);
      if (decoding_) lengths_.push_back(earlier + segment.length);
    }
    for (const size_t parent : segment.parents) earlier += batch.segments[parent].length;
    // scaled_dot_product_attention aligns is_causal to the upper left: right only where all keys are the
    // segment's own.
    if (decoding_ || earlier == 0 || segment.length == 1) continue;
    at::Tensor& mask = made[{segment.length, earlier}];
    if (!mask.defined()) mask = causal_mask(segment.length, earlier, options);
    masks_[i] = mask;
  }
  if (!rows.empty()) cache_rows_ = at::tensor(rows, at::kLong).to(options.device());
  if (decoding_ && !options.device().is_cpu()) decode_mask_ = length_mask(lengths_, options);
}

at::Tensor AttentionPlan::attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                 std::int64_t layer) const {
  if (cache_rows_.defined()) {
    cache_->keys(layer).flatten(0, 1).index_copy_(0, cache_rows_, k);
    cache_->values(layer).flatten(0, 1).index_copy_(0, cache_rows_, v);
  }
  if (decoding_) return decode(q, layer);
  const at::Tensor out = at::empty(q.sizes(), q.options());
  for (size_t i = 0; i < batch_.segments.size(); ++i) {
    const Segment& segment = batch_.segments[i];
    out.narrow(0, segment.begin, segment.length).copy_(attend_segment(segment, masks_[i], q, k, v, layer));
  }
  return out;
}

at::Tensor AttentionPlan::attend_segment(const Segment& segment, const at::Tensor& mask, const at::Tensor& q,
                                         const at::Tensor& k, const at::Tensor& v, std::int64_t layer) const {
  const auto gather = [&](const at::Tensor& fresh, const at::Tensor& held) {
    std::vector<at::Tensor> parts;
    for (const size_t parent : segment.parents) {
      const Segment& p = batch_.segments[parent];
      parts.push_back(fresh.narrow(0, p.begin, p.length));
    }
    if (held.defined()) parts.push_back(held);
    parts.push_back(fresh.narrow(0, segment.begin, segment.length));
    return as_heads(parts.size() == 1 ? parts.front() : at::cat(parts));
  };
  const std::int64_t past = cached(cache_, segment);
  const auto held = [&](const at::Tensor& side) { return side.select(0, segment.slot).narrow(0, 0, past); };
  const at::Tensor keys = gather(k, past > 0 ? held(cache_->keys(layer)) : at::Tensor());
  const at::Tensor values = gather(v, past > 0 ? held(cache_->values(layer)) : at::Tensor());
  const at::Tensor queries = as_heads(q.narrow(0, segment.begin, segment.length));
  const bool is_causal = !mask.defined() && segment.length > 1;
  const at::Tensor out = at::scaled_dot_product_attention(queries, keys, values,
                                                          mask.defined() ? std::optional(mask) : std::nullopt,
                                                          0.0, is_causal, std::nullopt, true);
  return out.squeeze(0).transpose(0, 1);
}

at::Tensor AttentionPlan::decode(const at::Tensor& q, std::int64_t layer) const {
  const at::Tensor &keys = cache_->keys(layer), &values = cache_->values(layer);
  if (q.is_cpu()) return decode_attention_cpu(q, keys, values, lengths_);
  const auto view = [&](const at::Tensor& side) {  // [B, G, longest, D]
    return side.narrow(0, 0, q.size(0)).narrow(1, 0, decode_mask_.size(3)).transpose(1, 2);
  };
  return at::scaled_dot_product_attention(q.unsqueeze(2), view(keys), view(values), decode_mask_, 0.0, false,
                                          std::nullopt, true)
      .squeeze(2);
}

}  // namespace safetylock
