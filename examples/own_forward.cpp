// A program with an attention layer of its own, and no libtorch: it takes from a SafetyLock only what to add.
// Two ways that are the same function: a displacement before o_proj, or one bias after it.
// Usage: own_forward LOCK
#include <safetylock/error.h>
#include <safetylock/lock.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <random>
#include <vector>

namespace sl = safetylock;
using Vector = std::vector<float>;

namespace {

/// matrix [rows, x.size()] times x.
Vector times(const Vector& matrix, const Vector& x) {
  Vector y(matrix.size() / x.size(), 0.0F);
  for (std::size_t row = 0; row < y.size(); ++row) {
    for (std::size_t i = 0; i < x.size(); ++i) y[row] += matrix[row * x.size() + i] * x[i];
  }
  return y;
}

Vector random_values(std::size_t count, std::mt19937& generator) {
  std::normal_distribution<float> normal(0.0F, 0.2F);
  Vector values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

/// Causal attention of one layer, the way an application may have written it: H heads of D numbers, G of them
/// with keys and values of their own.
struct Attention {
  std::size_t heads, kv_heads, head_dim, hidden;
  Vector q_proj, k_proj, v_proj, o_proj;

  /// Head outputs [H*D] of the last of the tokens.
  Vector head_outputs(const std::vector<Vector>& tokens) const {
    const Vector q = times(q_proj, tokens.back());
    std::vector<Vector> keys, values;
    for (const Vector& token : tokens) {
      keys.push_back(times(k_proj, token));
      values.push_back(times(v_proj, token));
    }
    Vector out(heads * head_dim, 0.0F);
    for (std::size_t h = 0; h < heads; ++h) {
      const std::size_t at = h * head_dim, shared = h / (heads / kv_heads) * head_dim;
      Vector weights;
      float sum = 0;
      for (const Vector& key : keys) {
        float score = 0;
        for (std::size_t d = 0; d < head_dim; ++d) score += q[at + d] * key[shared + d];
        weights.push_back(std::exp(score / std::sqrt(static_cast<float>(head_dim))));
        sum += weights.back();
      }
      for (std::size_t t = 0; t < tokens.size(); ++t) {
        for (std::size_t d = 0; d < head_dim; ++d) out[at + d] += weights[t] / sum * values[t][shared + d];
      }
    }
    return out;
  }
};

Vector plus(Vector a, const Vector& b, float factor) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += factor * b[i];
  return a;
}

float largest_difference(const Vector& a, const Vector& b) {
  float largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: own_forward LOCK\n";
    return 2;
  }
  const auto lock = sl::SafetyLock::load(argv[1]);
  const auto& base = lock.identity();
  const auto H = static_cast<std::size_t>(base.num_attention_heads);
  const auto G = static_cast<std::size_t>(base.num_key_value_heads);
  const auto D = static_cast<std::size_t>(base.head_dim);
  const auto E = static_cast<std::size_t>(base.hidden_size);

  std::mt19937 generator(1);
  const Attention layer{.heads = H,
                        .kv_heads = G,
                        .head_dim = D,
                        .hidden = E,
                        .q_proj = random_values(H * D * E, generator),
                        .k_proj = random_values(G * D * E, generator),
                        .v_proj = random_values(G * D * E, generator),
                        .o_proj = random_values(E * H * D, generator)};
  const std::vector<Vector> tokens = {random_values(E, generator), random_values(E, generator),
                                      random_values(E, generator)};
  const Vector z = layer.head_outputs(tokens);
  const Vector unlocked = times(layer.o_proj, z);

  // All that this program needs to know of the lock:
  const std::int64_t index = lock.layers().front();
  const float alpha = static_cast<float>(lock.default_strength().alpha());
  const Vector before_o_proj = lock.displacement(index);              // [H*D], per unit of alpha
  const Vector after_o_proj = lock.output_bias(index, layer.o_proj);  // [E], per unit of alpha

  const Vector one_way = times(layer.o_proj, plus(z, before_o_proj, alpha));
  const Vector other_way = plus(unlocked, after_o_proj, alpha);

  const float moved = largest_difference(one_way, unlocked), apart = largest_difference(one_way, other_way);
  std::cout << "layer " << index << " at alpha " << alpha << ": the lock moves the attention output by up to "
            << moved << "; the two ways differ by at most " << apart << "\n";
  return moved > 0 && apart <= 1e-4F * std::max(1.0F, moved) ? 0 : 1;
} catch (const sl::Error& error) {
  std::cerr << "error: " << error.what() << "\n";
  return sl::exit_code(error);
}
