#include "model/decoder.h"

#include <algorithm>

#include "model/kernels/linear.h"

namespace safetylock {
namespace {

/// Rows that go through the widest matrix products at once: bounds memory, costs no speed.
constexpr std::int64_t kRowChunk = 1024;

/// x / sqrt(mean(x^2) + eps) in float32, rounded, times the weight (HF: LlamaRMSNorm).
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = at::rsqrt(at::square(wide).mean(-1, true).add_(eps));
  return weight * (wide * scale).to(x.scalar_type());
}

/// SwiGLU: down(silu(gate(x)) * up(x)).
at::Tensor mlp(const LayerWeights& w, const at::Tensor& x) {
  const std::vector<at::Tensor> gate_up = apply_linear(x, w.gate_up, w.gate_up_bias).chunk(2, -1);
  return apply_linear(at::silu(gate_up[0]).mul_(gate_up[1]), w.down, w.down_bias);
}

/// f on the rows of x, kRowChunk at a time.
template <typename F>
at::Tensor by_row_chunks(const at::Tensor& x, const F& f) {
  if (x.size(0) <= kRowChunk) return f(x);
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : x.split(kRowChunk)) parts.push_back(f(part));
  return at::cat(parts);
}

}  // namespace

Decoder::Decoder(ModelConfig model_config, Weights model_weights)
    : config(std::move(model_config)),
      weights(std::move(model_weights)),
      inverse_frequencies(safetylock::inverse_frequencies(config).to(weights.embedding.device())) {}

DecoderPass::DecoderPass(const Decoder& decoder, const PackedBatch& batch, const Steering& steering,
                         HookSnapshot hooks, KvCache* cache)
    : decoder_(decoder),
      batch_(batch),
      steering_(steering),
      hooks_(std::move(hooks)),
      cache_(cache),
      rope_(
          rope_table(decoder.inverse_frequencies, batch.positions, decoder.weights.embedding.scalar_type())),
      attention_(batch, cache, decoder.options()) {}

at::Tensor DecoderPass::embed() const {
  const at::Tensor& table = decoder_.weights.embedding;
  return table.index({batch_.ids.to(table.device())});
}

at::Tensor DecoderPass::head_outputs(std::int64_t layer, const at::Tensor& x) const {
  const ModelConfig& c = decoder_.config;
  const LayerWeights& w = decoder_.weights.layers[static_cast<size_t>(layer)];
  const std::int64_t H = c.num_attention_heads, G = c.num_key_value_heads;
  const at::Tensor qkv = apply_linear(rms_norm(x, w.input_norm, c.rms_norm_eps), w.qkv, w.qkv_bias)
                             .view({x.size(0), H + 2 * G, c.head_dim});
  rotate_in_place(qkv.narrow(1, 0, H + G), rope_);
  at::Tensor z = attention_.attend(qkv.narrow(1, 0, H), qkv.narrow(1, H, G), qkv.narrow(1, H + G, G), layer);
  show(HookPoint::head_output, layer, z);
  return z;
}

at::Tensor DecoderPass::after_attention(std::int64_t layer, const at::Tensor& x, const at::Tensor& z) const {
  const LayerWeights& w = decoder_.weights.layers[static_cast<size_t>(layer)];
  at::Tensor attn_output = apply_linear(z.flatten(1), w.o_proj, w.o_proj_bias);
  steering_.add_to(layer, attn_output);
  show(HookPoint::attn_output, layer, attn_output);
  const at::Tensor h = x + attn_output;
  at::Tensor out = by_row_chunks(h, [&](const at::Tensor& rows) {
    return rows + mlp(w, rms_norm(rows, w.post_norm, decoder_.config.rms_norm_eps));
  });
  show(HookPoint::block_output, layer, out);
  return out;
}

at::Tensor DecoderPass::decoder_layer(std::int64_t layer, const at::Tensor& x) const {
  return after_attention(layer, x, head_outputs(layer, x));
}

at::Tensor DecoderPass::run() {
  at::Tensor x = embed();
  for (std::int64_t layer = 0; layer < decoder_.config.num_hidden_layers; ++layer)
    x = decoder_layer(layer, x);
  for (const Segment& segment : batch_.segments) {
    if (segment.slot >= 0) cache_->advance(segment.slot, segment.length);
  }
  return x;
}

void DecoderPass::show(HookPoint point, std::int64_t layer, at::Tensor& value) const {
  hooks_.run({.point = point, .layer = layer, .requests = batch_.requests, .positions = batch_.positions},
             value);
}

void logits_into(const Decoder& decoder, const at::Tensor& hidden, const at::Tensor& out) {
  const std::int64_t chunk = std::clamp<std::int64_t>((1 << 25) / decoder.config.vocab_size, 1, kRowChunk);
  for (std::int64_t row = 0; row < hidden.size(0); row += chunk) {
    const std::int64_t rows = std::min(chunk, hidden.size(0) - row);
    const at::Tensor x =
        rms_norm(hidden.narrow(0, row, rows), decoder.weights.final_norm, decoder.config.rms_norm_eps);
    out.narrow(0, row, rows).copy_(apply_linear(x, decoder.weights.lm_head));
  }
}

}  // namespace safetylock
