#include "model/attention.h"

#include <algorithm>
#include <limits>
#include <map>

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

/// Where a segment's keys lie: its parents', then what the cache holds, then its own.
std::vector<SegmentRows> segment_rows(const PackedBatch& batch, const KvCache* cache) {
  std::vector<SegmentRows> all;
  for (const Segment& segment : batch.segments) {
    SegmentRows rows{.begin = segment.begin, .length = segment.length, .earlier = {}};
    for (const size_t parent : segment.parents) {
      const Segment& p = batch.segments[parent];
      rows.earlier.push_back({.cached = false, .begin = p.begin, .length = p.length});
    }
    if (const std::int64_t held = cached(cache, segment); held > 0)
      rows.earlier.push_back({.cached = true, .begin = segment.slot * cache->capacity(), .length = held});
    all.push_back(std::move(rows));
  }
  return all;
}

constexpr double kNegativeInfinity = -std::numeric_limits<double>::infinity();

/// [length, earlier + length]: 0 where a query may look, all earlier keys and its own kind causally, of these
/// the last `window` (0: all); else -infinity.
at::Tensor causal_mask(std::int64_t length, std::int64_t earlier, std::int64_t window,
                       const at::TensorOptions& options) {
  const at::Tensor none = at::full({length, earlier + length}, kNegativeInfinity, options);
  at::Tensor mask = none.triu(earlier + 1);
  if (window > 0) mask.add_(none.tril(earlier - window));
  return mask;
}

/// [B, 1, 1, longest]: 0 for the keys that each request sees, else -infinity.
at::Tensor range_mask(const std::vector<KeyRange>& keys, const at::TensorOptions& options) {
  std::vector<std::int64_t> begins, ends;
  for (const KeyRange& range : keys) {
    begins.push_back(range.begin);
    ends.push_back(range.end);
  }
  const std::int64_t longest = *std::max_element(ends.begin(), ends.end());
  const at::Tensor key = at::arange(longest, at::kLong).unsqueeze(0);
  const at::Tensor outside = (key >= at::tensor(ends, at::kLong).unsqueeze(1))
                                 .logical_or(key < at::tensor(begins, at::kLong).unsqueeze(1));
  return at::zeros(outside.sizes(), at::kFloat)
      .masked_fill_(outside, kNegativeInfinity)
      .to(options)
      .unsqueeze(1)
      .unsqueeze(1);
}

}  // namespace

AttentionPlan::AttentionPlan(const ModelConfig& config, const PackedBatch& batch, const KvCache* cache,
                             const at::TensorOptions& options)
    : config_(config), batch_(batch), cache_(cache) {
  decoding_ = cache != nullptr && (batch.over_buffers || is_decode_step(batch));
  if (batch.over_buffers) {
    const at::Tensor slots = at::arange(batch.rows(), batch.positions.options());
    cache_rows_ = slots * cache->capacity() + batch.positions;
    all_ = visible_over_buffers(0, options);
    if (!config.sliding_layers.empty()) window_ = visible_over_buffers(config.sliding_window, options);
    return;
  }
  std::vector<std::int64_t> rows;
  for (const Segment& segment : batch.segments) {
    if (segment.slot < 0) continue;
    for (std::int64_t t = 0; t < segment.length; ++t)
      rows.push_back(segment.slot * cache->capacity() + cached(cache, segment) + t);
  }
  if (!rows.empty()) cache_rows_ = at::tensor(rows, at::kLong).to(options.device());
  if (!decoding_ && options.device().is_cpu()) segments_ = segment_rows(batch, cache);
  all_ = visible_in(0, options);
  if (!config.sliding_layers.empty()) window_ = visible_in(config.sliding_window, options);
}

AttentionPlan::Visibility AttentionPlan::visible_in(std::int64_t window,
                                                    const at::TensorOptions& options) const {
  Visibility visible{.window = window, .keys = {}, .decode_mask = {}, .masks = {}};
  const bool on_cpu = options.device().is_cpu();
  if (decoding_) {
    for (const Segment& segment : batch_.segments) {
      const std::int64_t end = cached(cache_, segment) + segment.length;
      visible.keys.push_back({window > 0 ? std::max<std::int64_t>(0, end - window) : 0, end});
    }
    if (!on_cpu) visible.decode_mask = range_mask(visible.keys, options);
  } else if (!on_cpu) {
    visible.masks = masks_of(window, options);
  }
  return visible;
}

std::vector<at::Tensor> AttentionPlan::masks_of(std::int64_t window, const at::TensorOptions& options) const {
  std::vector<at::Tensor> masks;
  std::map<std::pair<std::int64_t, std::int64_t>, at::Tensor> made;
  for (const Segment& segment : batch_.segments) {
    at::Tensor& mask = masks.emplace_back();
    std::int64_t earlier = cached(cache_, segment);
    for (const size_t parent : segment.parents) earlier += batch_.segments[parent].length;
    // scaled_dot_product_attention aligns is_causal to the upper left: right only where all keys are the
    // segment's own.
    const bool cut = window > 0 && earlier + segment.length > window;
    if (!cut && (earlier == 0 || segment.length == 1)) continue;
    at::Tensor& known = made[{segment.length, earlier}];
    if (!known.defined()) known = causal_mask(segment.length, earlier, cut ? window : 0, options);
    mask = known;
  }
  return masks;
}

/// By operators on the device alone: they can be recorded, and see the positions of the day when replayed.
AttentionPlan::Visibility AttentionPlan::visible_over_buffers(std::int64_t window,
                                                              const at::TensorOptions& options) const {
  const at::Tensor key = at::arange(cache_->capacity(), batch_.positions.options()).unsqueeze(0);
  const at::Tensor position = batch_.positions.unsqueeze(1);
  at::Tensor outside = key > position;
  if (window > 0) outside = outside.logical_or(key <= position - window);
  Visibility visible{.window = window, .keys = {}, .decode_mask = {}, .masks = {}};
  visible.decode_mask =
      at::zeros(outside.sizes(), options).masked_fill_(outside, kNegativeInfinity).unsqueeze(1).unsqueeze(1);
  return visible;
}

void AttentionPlan::advance() {
  for (Visibility* visible : {&all_, &window_}) {
    for (KeyRange& range : visible->keys) {
      ++range.end;
      if (visible->window > 0) range.begin = std::max<std::int64_t>(0, range.end - visible->window);
    }
  }
  auto* const rows = cache_rows_.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < cache_rows_.size(0); ++i) ++rows[i];
}

ScoreRule AttentionPlan::score_rule() const {
  return {.scale = static_cast<float>(config_.attention_scale()),
          .softcap = static_cast<float>(config_.attn_logit_softcapping)};
}

at::Tensor AttentionPlan::attend(const Heads& q, const Heads& k, const Heads& v, std::int64_t layer) const {
  if (cache_rows_.defined()) cache_->write(layer, cache_rows_, k, v);
  if (decoding_) return decode(q, visible_to(layer), layer);
  if (segments_.empty()) return attend_by_operators(q.tensor(), k.tensor(), v.tensor(), layer);
  KeyValues kv{.keys = k, .values = v, .cached_keys = {}, .cached_values = {}};
  if (cache_ != nullptr) {
    kv.cached_keys = cache_->keys(layer);
    kv.cached_values = cache_->values(layer);
  }
  return segment_attention(q, kv, segments_, visible_to(layer).window, score_rule());
}

at::Tensor AttentionPlan::attend_by_operators(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                              std::int64_t layer) const {
  const Visibility& visible = visible_to(layer);
  std::vector<at::Tensor> made;
  if (visible.masks.empty()) made = masks_of(visible.window, q.options());
  const std::vector<at::Tensor>& masks = visible.masks.empty() ? made : visible.masks;
  const at::Tensor out = at::empty(q.sizes(), q.options());
  for (size_t i = 0; i < batch_.segments.size(); ++i) {
    const Segment& segment = batch_.segments[i];
    out.narrow(0, segment.begin, segment.length).copy_(attend_segment(segment, masks[i], q, k, v, layer));
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
  return attend_densely(queries, keys, values, mask, !mask.defined() && segment.length > 1)
      .squeeze(0)
      .transpose(0, 1);
}

/// q [B, H, T, D], k and v [B, G, keys, D], mask [.., T, keys] or undefined: [B, H, T, D].
at::Tensor AttentionPlan::attend_densely(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                         const at::Tensor& mask, bool is_causal) const {
  const double cap = config_.attn_logit_softcapping;
  if (cap == 0) {
    return at::scaled_dot_product_attention(q, k, v, mask.defined() ? std::optional(mask) : std::nullopt, 0.0,
                                            is_causal, config_.attention_scale(), true);
  }
  // HF: gemma2's eager_attention_forward. scaled_dot_product_attention knows no cap.
  const std::int64_t shared = q.size(1) / k.size(1);
  at::Tensor scores = at::matmul(q, k.repeat_interleave(shared, 1).transpose(2, 3));
  scores.mul_(config_.attention_scale()).div_(cap).tanh_().mul_(cap);
  if (mask.defined()) scores.add_(mask);
  if (is_causal) scores.add_(causal_mask(q.size(2), 0, 0, q.options()));
  const at::Tensor weights = at::softmax(scores, -1, at::kFloat).to(q.scalar_type());
  return at::matmul(weights, v.repeat_interleave(shared, 1));
}

at::Tensor AttentionPlan::decode(const Heads& q, const Visibility& visible, std::int64_t layer) const {
  const at::Tensor &keys = cache_->keys(layer), &values = cache_->values(layer);
  if (!visible.decode_mask.defined()) {
    return decode_attention_cpu(q, keys, values, visible.keys, score_rule());
  }
  const auto view = [&](const at::Tensor& side) {  // [B, G, longest, D]
    return side.narrow(0, 0, q.rows()).narrow(1, 0, visible.decode_mask.size(3)).transpose(1, 2);
  };
  return attend_densely(q.tensor().unsqueeze(2), view(keys), view(values), visible.decode_mask, false)
      .squeeze(2);
}

}  // namespace safetylock
