#include "bake/bias_comparison.h"

#include <algorithm>
#include <cmath>

#include "bake/short_number.h"

namespace safetylock {
namespace {

// Other tools compute W_o d in the model's own type: a hundredth of the strength, two of the direction.
constexpr double kStrengthTolerance = 0.01;
constexpr double kResidualTolerance = 0.02;
constexpr double kSameDirection = 0.99;

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) sum += a[i] * b[i];
  return sum;
}
double norm(const Vector& a) {
  return std::sqrt(dot(a, a));
}

class Comparer {
 public:
  Comparer(const std::vector<LayerBias>& layers, double expected) : layers_(layers), expected_(expected) {}

  BiasComparison compare() {
    measure();
    bool strange_everywhere = true, free_ones = false, all_locked = true;
    for (size_t l = 0; l < layers_.size(); ++l) {
      LayerVerification& out = out_.layers[l];
      out.problem = out.locked ? problem_of_locked(l) : problem_of_free(layers_[l], free_ones);
      if (out.locked && !is_strange(l)) strange_everywhere = false;
      if (!out.locked) all_locked = false;
      if (!out.problem.empty()) out_.reasons.push_back("layer " + std::to_string(l) + ": " + out.problem);
    }
    out_.looks_like_own_biases = !out_.reasons.empty() && strange_everywhere && (free_ones || all_locked);
    return std::move(out_);
  }

 private:
  void measure() {
    double with = 0, of = 0;
    for (size_t l = 0; l < layers_.size(); ++l) {
      const LayerBias& layer = layers_[l];
      out_.layers.push_back(
          {.layer = static_cast<std::int64_t>(l), .locked = !layer.unit.empty(), .problem = {}});
      if (layer.unit.empty()) continue;
      const double square = dot(layer.unit, layer.unit);
      with += dot(layer.bias, layer.unit);
      of += square;
      LayerVerification& out = out_.layers.back();
      if (square == 0) continue;
      out.strength = dot(layer.bias, layer.unit) / square;
      Vector rest = layer.bias;
      for (size_t e = 0; e < rest.size(); ++e) rest[e] -= out.strength * layer.unit[e];
      const double size = std::fabs(out.strength) * std::sqrt(square);
      if (size > 0) out.residual = norm(rest) / size;
    }
    if (of > 0) out_.strength = with / of;
  }

  bool is_strange(size_t l) const {
    return out_.layers[l].residual * std::fabs(out_.layers[l].strength) * norm(layers_[l].unit) >
           tolerance(layers_[l], out_.layers[l].strength);
  }

  static double tolerance(const LayerBias& layer, double strength) {
    return kResidualTolerance * std::fabs(strength) * norm(layer.unit) + 2 * layer.error;
  }

  std::string problem_of_locked(size_t l) {
    const LayerBias& layer = layers_[l];
    const double size = norm(layer.unit), expected = expected_;
    const double found = out_.layers[l].strength;
    if (norm(layer.bias) <= layer.error) return size > 0 ? "the lock was dropped" : "";
    const int other = layer_with_direction(layer.bias, static_cast<int>(l));
    if (is_strange(l)) {
      if (other >= 0) return "the vector of layer " + std::to_string(other);
      return "not this lock's vector (cosine " +
             short_number(dot(layer.bias, layer.unit) / (norm(layer.bias) * size)) + ")";
    }
    if (std::fabs(found - expected) <= kStrengthTolerance * expected + 2 * layer.error / size) return "";
    const double ratio = found / expected;
    const std::string text = "strength " + short_number(found) + " in place of " + short_number(expected);
    if (std::fabs(ratio + 1) < 0.02) return text + ": the other sign, away from safety";
    if (std::fabs(ratio - 0.5) < 0.01) return text + ": halved";
    if (std::fabs(ratio - 2) < 0.04) return text + ": doubled";
    return text;
  }

  std::string problem_of_free(const LayerBias& layer, bool& free_ones) const {
    if (norm(layer.bias) <= layer.error) return "";
    const int other = layer_with_direction(layer.bias, -1);
    if (other >= 0) return "the vector of layer " + std::to_string(other) + ", where the lock has none";
    free_ones = true;
    return "a bias where the lock has none";
  }

  int layer_with_direction(const Vector& bias, int but) const {
    for (size_t l = 0; l < layers_.size(); ++l) {
      const Vector& unit = layers_[l].unit;
      if (unit.empty() || static_cast<int>(l) == but) continue;
      if (std::fabs(dot(bias, unit)) > kSameDirection * norm(bias) * norm(unit)) return static_cast<int>(l);
    }
    return -1;
  }

  const std::vector<LayerBias>& layers_;
  double expected_;
  BiasComparison out_;
};

}  // namespace

BiasComparison compare_biases(const std::vector<LayerBias>& layers, double expected_strength) {
  return Comparer(layers, expected_strength).compare();
}

}  // namespace safetylock
