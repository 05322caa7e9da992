#include "model/decoder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/kernels/linear.h"
#include "model/kernels/mlp.h"
#include "model/kernels/residual_norm.h"

namespace safetylock {
namespace {

/// Rows that go through the widest matrix products at once: bounds memory, costs no speed.
constexpr std::int64_t kRowChunk = 1024;

NormRule norm_rule(const ModelConfig& c) {
  return {.eps = c.rms_norm_eps, .unit_offset = c.unit_offset_norm};
}

}  // namespace

Decoder::Decoder(ModelConfig model_config, std::shared_ptr<const WeightSource> model_weights)
    : config(std::move(model_config)), weights(std::move(model_weights)), rope(config, options().device()) {}

DecoderPass::DecoderPass(const Decoder& decoder, const PackedBatch& batch, const Steering& steering,
                         HookSnapshot hooks, KvCache* cache)
    : decoder_(decoder),
      batch_(batch),
      steering_(steering),
      hooks_(std::move(hooks)),
      cache_(cache),
      rope_(decoder.rope, decoder.config, batch, decoder.dtype()),
      attention_(decoder.config, batch, cache, decoder.options()) {}

at::Tensor DecoderPass::embed() const {
  const at::Tensor rows = decoder_.weights->embed(batch_.ids);
  if (!decoder_.config.scaled_embedding) return rows;
  // HF: Gemma3TextScaledWordEmbedding rounds the factor to the dtype first.
  const double factor = std::sqrt(static_cast<double>(decoder_.config.hidden_size));
  return rows * at::scalar_tensor(factor, at::TensorOptions().dtype(rows.scalar_type())).item<double>();
}

at::Tensor DecoderPass::head_outputs(std::int64_t layer, const LayerWeights& w, const at::Tensor& x) const {
  const ModelConfig& c = decoder_.config;
  const std::int64_t H = c.num_attention_heads, G = c.num_key_value_heads, D = c.head_dim;
  const at::Tensor qkv = apply_linear_to_norm(x, {w.input_norm, norm_rule(c)}, w.qkv, w.qkv_bias);
  const Heads q(qkv, 0, H, D), k(qkv, H, G, D), v(qkv, H + G, G, D);
  if (c.qk_norm) {
    rms_norm_in_place(q, w.q_norm, norm_rule(c));
    rms_norm_in_place(k, w.k_norm, norm_rule(c));
  }
  rope_.rotate_in_place(Heads(qkv, 0, H + G, D), layer);
  at::Tensor z = attention_.attend(q, k, v, layer);
  show(HookPoint::head_output, layer, z);
  return z;
}

at::Tensor DecoderPass::after_attention(std::int64_t layer, const LayerWeights& w, const at::Tensor& x,
                                        const at::Tensor& z) const {
  const ModelConfig& c = decoder_.config;
  RowTerm term = steering_.term(layer);
  // With sandwich norms a lock is normalised together with what the heads say.
  const bool acts_at_once = c.sandwich_norm || hooks_.any(HookPoint::attn_output, layer);
  // A baked lock is a bias: it is added where a lock at run time would be, at no more than its cost.
  const bool bias_is_term = !acts_at_once && !term.vector.defined();
  if (bias_is_term) term.vector = w.o_proj_bias;
  at::Tensor attn_output = apply_linear(z, w.o_proj, bias_is_term ? at::Tensor() : w.o_proj_bias);
  if (acts_at_once) {
    add_term(attn_output, std::exchange(term, {}));
    show(HookPoint::attn_output, layer, attn_output);
    if (c.sandwich_norm) attn_output = rms_norm(attn_output, w.attn_output_norm, norm_rule(c));
  }
  const MlpWeights mlp{w.gate_up, w.gate_up_bias, w.down, w.down_bias};
  if (!c.sandwich_norm && adds_mlp_of_norm(x, mlp)) {
    at::Tensor sum = add_residual(x, attn_output, term);
    add_mlp_of_norm(sum, {w.mlp_norm, norm_rule(c)}, mlp, c.hidden_act);
    show(HookPoint::block_output, layer, sum);
    return sum;
  }
  ResidualNorm h = add_and_norm(x, attn_output, term, w.mlp_norm, norm_rule(c));
  const auto add_mlp = [&](const at::Tensor& sum, const at::Tensor& normed) {
    at::Tensor inner = apply_mlp(normed, mlp, c.hidden_act);
    if (c.sandwich_norm) inner = rms_norm(inner, w.mlp_output_norm, norm_rule(c));
    add_rows(sum, inner);
  };
  if (x.size(0) <= kRowChunk) {
    add_mlp(h.sum, h.normed);
  } else {
    for (std::int64_t row = 0; row < x.size(0); row += kRowChunk) {
      const std::int64_t rows = std::min(kRowChunk, x.size(0) - row);
      add_mlp(h.sum.narrow(0, row, rows), h.normed.narrow(0, row, rows));
    }
  }
  show(HookPoint::block_output, layer, h.sum);
  return h.sum;
}

at::Tensor DecoderPass::run() {
  at::Tensor x = embed();
  const std::vector<LayerWeights>* const held = decoder_.weights->held_layers();
  const auto reader = held == nullptr ? decoder_.weights->read_layers() : nullptr;
  for (std::int64_t layer = 0; layer < decoder_.config.num_hidden_layers; ++layer) {
    const LayerWeights& w = held == nullptr ? reader->next() : (*held)[static_cast<size_t>(layer)];
    x = after_attention(layer, w, x, head_outputs(layer, w, x));
  }
  for (const Segment& segment : batch_.segments) {
    if (segment.slot >= 0) cache_->advance(segment.slot, segment.length);
  }
  return x;
}

void DecoderPass::advance() {
  rope_.follow(batch_);
  attention_.advance();
}

void DecoderPass::show(HookPoint point, std::int64_t layer, at::Tensor& value) const {
  hooks_.run({.point = point, .layer = layer, .requests = batch_.requests, .positions = batch_.positions},
             value);
}

void logits_into(const Decoder& decoder, const at::Tensor& hidden, const at::Tensor& out) {
  const ModelConfig& c = decoder.config;
  const std::int64_t chunk = std::clamp<std::int64_t>((1 << 25) / c.vocab_size, 1, kRowChunk);
  const auto write = [&](const at::Tensor& rows, const at::Tensor& logits) {
    const at::Tensor x = rms_norm(rows, decoder.weights->final_norm(), norm_rule(c));
    logits.copy_(decoder.weights->to_vocabulary(x));
    if (c.final_logit_softcapping > 0)
      logits.div_(c.final_logit_softcapping).tanh_().mul_(c.final_logit_softcapping);
  };
  if (hidden.size(0) <= chunk) return write(hidden, out);
  for (std::int64_t row = 0; row < hidden.size(0); row += chunk) {
    const std::int64_t rows = std::min(chunk, hidden.size(0) - row);
    write(hidden.narrow(0, row, rows), out.narrow(0, row, rows));
  }
}

}  // namespace safetylock
