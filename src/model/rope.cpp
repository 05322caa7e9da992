#include "model/rope.h"

#include <cmath>
#include <numbers>

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

}  // namespace

at::Tensor inverse_frequencies(const ModelConfig& config) {
  const at::Tensor exponents =
      at::arange(0, config.head_dim, 2, at::kFloat) / static_cast<double>(config.head_dim);
  at::Tensor inv_freq = at::reciprocal(at::pow(config.rope_theta, exponents));
  const RopeScaling& scaling = config.rope_scaling;
  if (!scaling.frequency_divisors.empty()) return inv_freq.div_(at::tensor(scaling.frequency_divisors));
  if (scaling.type == RopeScaling::Type::linear) inv_freq.div_(scaling.factor);
  if (scaling.type == RopeScaling::Type::llama3) {
    float* values = inv_freq.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < inv_freq.numel(); ++i) values[i] = llama3_scaled(values[i], scaling);
  }
  return inv_freq;
}

RopeTable rope_table(const at::Tensor& inv_freq, const at::Tensor& positions, at::ScalarType dtype) {
  const at::Tensor rows = positions.to(inv_freq.device()).to(at::kFloat).unsqueeze(1);
  const at::Tensor angles = (rows * inv_freq).unsqueeze(1);
  return {.cos = at::cos(angles).to(dtype), .sin = at::sin(angles).to(dtype)};
}

void rotate_in_place(const at::Tensor& heads, const RopeTable& table) {
  const std::int64_t half = heads.size(2) / 2;
  const at::Tensor first = heads.narrow(2, 0, half), second = heads.narrow(2, half, half);
  const at::Tensor rotated = first * table.cos - second * table.sin;
  second.copy_(second * table.cos + first * table.sin);
  first.copy_(rotated);
}

}  // namespace safetylock
