#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "model/kernels/rotate.h"
#include "model/kernels/scratch.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// The llama3 rule: low frequencies are divided by the factor, high ones kept, those between blended.
float llama3_scaled(float inv_freq, const RopeScaling& s) {
  const auto context = static_cast<float>(s.original_max_position_embeddings);
  const auto low = static_cast<float>(s.low_freq_factor), high = static_cast<float>(s.high_freq_factor);
  const auto factor = static_cast<float>(s.factor);
  const float wavelength = 2.0F * std::numbers::pi_v<float> / inv_freq;
  if (wavelength > context / low) return inv_freq / factor;
  if (wavelength < context / high) return inv_freq;
  const float smooth = (context / wavelength - low) / (high - low);
  return (1.0F - smooth) * inv_freq / factor + smooth * inv_freq;
}

at::Tensor unscaled(double theta, std::int64_t rotated) {
  const at::Tensor exponents = at::arange(0, rotated, 2, at::kFloat) / static_cast<double>(rotated);
  return at::reciprocal(at::pow(theta, exponents));
}

at::Tensor scaled(const ModelConfig& config) {
  at::Tensor inverse = unscaled(config.rope_theta, config.rotary_size());
  const RopeScaling& scaling = config.rope_scaling;
  if (!scaling.frequency_divisors.empty()) return inverse.div_(at::tensor(scaling.frequency_divisors));
  if (scaling.type == RopeScaling::Type::linear) inverse.div_(scaling.factor);
  if (scaling.type == RopeScaling::Type::longrope) inverse.div_(at::tensor(scaling.short_factor));
  if (scaling.type == RopeScaling::Type::llama3) {
    float* values = inverse.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < inverse.numel(); ++i) values[i] = llama3_scaled(values[i], scaling);
  }
  return inverse;
}

/// Which rows belong to a sequence that reaches beyond `original` tokens in this pass, [N] bool on the CPU.
at::Tensor beyond(const PackedBatch& batch, std::int64_t original) {
  at::Tensor flags = at::zeros({batch.rows()}, at::kBool);
  size_t longer = 0;
  bool shared = false;
  for (const Segment& segment : batch.segments) {
    shared = shared || !segment.parents.empty();
    if (batch.positions[segment.begin + segment.length - 1].item<std::int64_t>() < original) continue;
    flags.narrow(0, segment.begin, segment.length).fill_(true);
    ++longer;
  }
  if (!shared || longer == 0) return flags;
  // A shared prefix may be short; the replies behind it decide.
  std::vector<bool> has_children(batch.segments.size());
  for (const Segment& segment : batch.segments)
    for (const size_t parent : segment.parents) has_children[parent] = true;
  for (size_t i = 0; i < batch.segments.size(); ++i) {
    const Segment& segment = batch.segments[i];
    if (has_children[i] || flags[segment.begin].item<bool>()) continue;
    throw Error({.code = "data.too_long",
                 .where = "sequences that share a prefix",
                 .expected = "all within the original context of " + std::to_string(original) +
                             " tokens, or all beyond it",
                 .found = std::to_string(longer) + " parts beyond it, others within",
                 .hint = "Give the long ones in a call of their own"});
  }
  return flags.fill_(true);
}

}  // namespace

RopeFrequencies::RopeFrequencies(const ModelConfig& config, at::Device device)
    : inverse(scaled(config).to(device)), attention_factor(config.rope_scaling.attention_factor) {
  if (config.rope_scaling.type == RopeScaling::Type::longrope) {
    long_inverse = unscaled(config.rope_theta, config.rotary_size())
                       .div_(at::tensor(config.rope_scaling.long_factor))
                       .to(device);
  }
  if (config.rope_local_base_freq > 0)
    local_inverse = unscaled(config.rope_local_base_freq, config.rotary_size()).to(device);
}

RopeTables::RopeTables(const RopeFrequencies& frequencies, const ModelConfig& config,
                       const PackedBatch& batch, at::ScalarType dtype)
    : frequencies_(frequencies), config_(config) {
  const at::TensorOptions floats = frequencies.inverse.options();
  rows_ = batch.positions.to(floats).view({-1, 1, 1});
  const auto like = [&](const at::Tensor& inverse, const at::TensorOptions& options) {
    return at::empty({batch.rows(), 1, inverse.size(0)}, options);
  };
  angles_ = like(frequencies.inverse, floats);
  table_ = {.cos = like(frequencies.inverse, floats.dtype(dtype)),
            .sin = like(frequencies.inverse, floats.dtype(dtype))};
  fill(table_, frequencies.inverse, frequencies.attention_factor);
  if (frequencies.long_inverse.defined()) {  // (never over buffers)
    const at::Tensor longer = beyond(batch, config.rope_scaling.original_max_position_embeddings)
                                  .to(floats.device())
                                  .view({-1, 1, 1});
    const RopeTable far = {.cos = at::empty_like(table_.cos), .sin = at::empty_like(table_.sin)};
    fill(far, frequencies.long_inverse, frequencies.attention_factor);
    table_ = {.cos = at::where(longer, far.cos, table_.cos), .sin = at::where(longer, far.sin, table_.sin)};
  }
  if (frequencies.local_inverse.defined()) {
    local_ = {.cos = at::empty_like(table_.cos), .sin = at::empty_like(table_.sin)};
    fill(local_, frequencies.local_inverse, 1.0);
  }
}

void RopeTables::fill(const RopeTable& table, const at::Tensor& inverse, double factor) {
  at::mul_out(angles_, rows_, inverse);
  for (const auto& [function, to] : {std::pair{&at::cos_out, table.cos}, {&at::sin_out, table.sin}}) {
    const bool direct = factor == 1.0 && to.scalar_type() == at::kFloat;
    at::Tensor out = direct ? to : scratch(to.sizes(), to.options().dtype(at::kFloat));
    function(out, angles_);
    if (factor != 1.0) out.mul_(factor);
    if (!direct) to.copy_(out);
  }
}

void RopeTables::follow(const PackedBatch& batch) {
  std::copy_n(batch.positions.const_data_ptr<std::int64_t>(), batch.rows(), rows_.mutable_data_ptr<float>());
  fill(table_, frequencies_.inverse, frequencies_.attention_factor);
  if (local_.cos.defined()) fill(local_, frequencies_.local_inverse, 1.0);
}

void RopeTables::rotate_in_place(const Heads& heads, std::int64_t layer) const {
  if (!config_.rotates(layer)) return;
  const RopeTable& table = local_.cos.defined() && config_.slides(layer) ? local_ : table_;
  safetylock::rotate_in_place(heads, table.cos, table.sin);
}

}  // namespace safetylock
