#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "safetylock/derive_gate.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// Beyond this a factor mends nothing: the scores hold something else than they did.
constexpr double kMostFactor = 4;

}  // namespace

void check_gate_prompts(const Gate& gate, const std::string& digest) {
  if (!gate.prompts_digest.empty() && gate.evidence.sd > 0 && gate.prompts_digest == digest) return;
  const auto shortened = [](const std::string& sha) { return "SHA-256 " + sha.substr(0, 16) + "..."; };
  throw Error(
      {.code = "gate.prompts",
       .where = "fit_gate",
       .expected = gate.prompts_digest.empty() || gate.evidence.sd == 0
                       ? "a gate that knows the prompts it was made from"
                       : "those prompts, all of them in their order: " + shortened(gate.prompts_digest),
       .found = "prompts of " + shortened(digest)});
}

std::vector<double> gate_scores(const Gate& gate, const GateActivations& activations) {
  const at::Tensor& v = activations.values;
  at::Tensor scores = at::full({v.size(0)}, static_cast<double>(gate.bias), at::kDouble);
  for (const GateHead& head : gate.heads) {
    const auto place = std::find(activations.positions.begin(), activations.positions.end(), head.position);
    if (place == activations.positions.end() || head.id.layer >= v.size(2) || head.id.head >= v.size(3) ||
        static_cast<std::int64_t>(head.weights.size()) != v.size(4)) {
      throw Error({.code = "arg.shape",
                   .where = "gate_scores",
                   .expected = "activations of the heads and positions that the gate reads",
                   .found = "none of layer " + std::to_string(head.id.layer) + ", head " +
                            std::to_string(head.id.head) + ", " + to_string(head.position)});
    }
    const at::Tensor rows =
        v.select(1, place - activations.positions.begin()).select(1, head.id.layer).select(1, head.id.head);
    scores += rows.to(at::kDouble).mv(at::tensor(head.weights, at::kDouble));
  }
  return {scores.const_data_ptr<double>(), scores.const_data_ptr<double>() + scores.numel()};
}

ScoreSpread spread_of(const std::vector<double>& scores) {
  const auto n = static_cast<double>(scores.size());
  ScoreSpread spread;
  for (const double score : scores) spread.mean += score / n;
  for (const double score : scores) spread.sd += (score - spread.mean) * (score - spread.mean) / n;
  spread.sd = std::sqrt(spread.sd);
  return spread;
}

Gate fit_gate(const Gate& gate, const GateActivations& tuned) {
  check_gate_prompts(gate, tuned.prompts_digest);
  const ScoreSpread spread = spread_of(gate_scores(gate, tuned));
  const double factor = gate.evidence.sd / spread.sd;
  if (!(factor <= kMostFactor && factor >= 1 / kMostFactor)) {
    throw Error({.code = "gate.drift",
                 .where = "fit_gate",
                 .expected = "scores with a standard deviation near that on the base, " +
                             std::to_string(gate.evidence.sd),
                 .found = std::to_string(spread.sd),
                 .hint = "The fine-tuned model no longer tells these prompts apart as its base did: use the "
                         "lock without its gate"});
  }
  Gate fitted = gate;
  for (GateHead& head : fitted.heads)
    for (float& w : head.weights) w = static_cast<float>(static_cast<double>(w) * factor);
  fitted.bias =
      static_cast<float>((static_cast<double>(gate.bias) - spread.mean) * factor + gate.evidence.mean);
  return fitted;
}

}  // namespace safetylock
