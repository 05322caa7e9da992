#include "lock/gate_fields.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "lock/lock_format.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

std::string name_of(const GateHead& head) {
  return "gate: layer " + std::to_string(head.id.layer) + ", head " + std::to_string(head.id.head) + ", " +
         to_string(head.position);
}

[[noreturn]] void refuse(const std::string& where, const std::string& expected, const std::string& found) {
  throw Error({"lock.gate", "", where, expected, found, ""});
}

void check_head(const GateHead& head, const LockIdentity& id, bool of_replies) {
  if (head.id.layer < 0 || head.id.layer >= id.num_hidden_layers || head.id.head < 0 ||
      head.id.head >= id.num_attention_heads) {
    refuse(name_of(head),
           "layers below " + std::to_string(id.num_hidden_layers) + ", heads below " +
               std::to_string(id.num_attention_heads),
           "a head outside the model");
  }
  const auto position = static_cast<std::int64_t>(head.position);
  const auto reply = static_cast<std::int64_t>(GatePosition::reply);
  if (of_replies ? position != reply : position < 0 || position >= reply)
    refuse(name_of(head), of_replies ? "position 4" : "a position from 0 to 3", std::to_string(position));
  if (head.weights.size() != static_cast<size_t>(id.head_dim)) {
    refuse(name_of(head), std::to_string(id.head_dim) + " weights", std::to_string(head.weights.size()));
  }
  for (const float w : head.weights) {
    if (!(std::abs(w) <= lock_format::kMaxGateWeight))
      refuse(name_of(head), "finite weights of moderate size", std::to_string(w));
  }
}

}  // namespace

void check_gate(const Gate& gate, const LockIdentity& identity, bool of_replies) {
  if (gate.heads.empty()) refuse("gate", "at least one head", "none");
  std::set<std::tuple<HeadId, GatePosition>> seen;
  bool reads = false;
  for (const GateHead& head : gate.heads) {
    check_head(head, identity, of_replies);
    if (!seen.emplace(head.id, head.position).second)
      refuse(name_of(head), "each head once a position", "the same one again");
    reads = reads || std::any_of(head.weights.begin(), head.weights.end(), [](float w) { return w != 0; });
  }
  if (!reads) refuse("gate", "weights", "zeros alone: it would say the same of every request");
  if (!(std::abs(gate.bias) <= lock_format::kMaxGateWeight))
    refuse("gate: bias", "a finite number of moderate size", std::to_string(gate.bias));
  if (!(gate.threshold > 0 && gate.threshold < 1))
    refuse("gate: threshold", "a probability above 0 and below 1", std::to_string(gate.threshold));
  const GateEvidence& e = gate.evidence;
  if (e.harmful < 0 || e.missed < 0 || e.missed > e.harmful || e.harmless < 0 || e.false_alarms < 0 ||
      e.false_alarms > e.harmless) {
    refuse("gate: evidence", "0 <= missed <= harmful and 0 <= false alarms <= harmless",
           std::to_string(e.missed) + " of " + std::to_string(e.harmful) + ", " +
               std::to_string(e.false_alarms) + " of " + std::to_string(e.harmless));
  }
  if (!std::isfinite(e.mean) || !std::isfinite(e.sd) || e.sd < 0)
    refuse("gate: evidence", "a mean and a standard deviation of scores",
           std::to_string(e.mean) + ", " + std::to_string(e.sd));
  if (e.harmful > 0 && e.missed == e.harmful)
    refuse("gate: evidence", "a gate that opens on some harmful request", "one that missed all of them");
}

void add_gate(LockContent& content, const Gate& gate, std::string_view prefix, std::int64_t head_dim) {
  const auto name = [&](const char* what) { return std::string(prefix) + what; };
  const std::uint64_t k = gate.heads.size();
  std::vector<std::int64_t> layers, heads, positions;
  std::vector<float> weights;
  for (const GateHead& head : gate.heads) {
    layers.push_back(head.id.layer);
    heads.push_back(head.id.head);
    positions.push_back(static_cast<std::int64_t>(head.position));
    weights.insert(weights.end(), head.weights.begin(), head.weights.end());
  }
  content.tensors.push_back(SafetensorsEntry::i64(name("layers"), {k}, layers));
  content.tensors.push_back(SafetensorsEntry::i64(name("heads"), {k}, heads));
  content.tensors.push_back(SafetensorsEntry::i64(name("positions"), {k}, positions));
  content.tensors.push_back(
      SafetensorsEntry::f32(name("weights"), {k, static_cast<std::uint64_t>(head_dim)}, weights));
  content.tensors.push_back(SafetensorsEntry::f32(name("bias"), {1}, std::vector<float>{gate.bias}));
  content.metadata.insert({
      {name("threshold"), number_text(gate.threshold)},
      {name("harmful"), std::to_string(gate.evidence.harmful)},
      {name("missed"), std::to_string(gate.evidence.missed)},
      {name("harmless"), std::to_string(gate.evidence.harmless)},
      {name("false_alarms"), std::to_string(gate.evidence.false_alarms)},
      {name("prompts_digest"), gate.prompts_digest},
      {name("score_mean"), number_text(gate.evidence.mean)},
      {name("score_sd"), number_text(gate.evidence.sd)},
  });
}

std::optional<Gate> read_gate(const LockFields& fields, std::string_view prefix) {
  const auto name = [&](std::string_view what) { return std::string(prefix) + std::string(what); };
  const auto has_text = [&](std::string_view key) { return fields.has_text(name(key)); };
  const auto has_tensor = [&](std::string_view tensor) { return fields.has_tensor(name(tensor)); };
  if (std::none_of(lock_format::kGateKeys.begin(), lock_format::kGateKeys.end(), has_text) &&
      std::none_of(lock_format::kGateTensors.begin(), lock_format::kGateTensors.end(), has_tensor)) {
    return std::nullopt;
  }
  for (const std::string_view key : lock_format::kGateKeys) {
    if (!has_text(key)) {
      fields.fail("lock.metadata", "metadata key \"" + name(key) + "\"", "to be there with the gate",
                  "no such key");
    }
  }
  const std::uint64_t k = fields.tensor(name("layers")).count();
  const std::vector<std::uint64_t>& shape = fields.tensor(name("weights")).shape;
  const std::uint64_t dim = shape.size() == 2 ? shape[1] : 0;
  fields.check_tensor(name("layers"), "lock.gate", "I64", {k});
  fields.check_tensor(name("heads"), "lock.gate", "I64", {k});
  fields.check_tensor(name("positions"), "lock.gate", "I64", {k});
  fields.check_tensor(name("weights"), "lock.gate", "F32", {k, dim});
  fields.check_tensor(name("bias"), "lock.gate", "F32", {1});

  Gate gate;
  const std::vector<std::int64_t> layers = fields.integers(name("layers")),
                                  heads = fields.integers(name("heads")),
                                  positions = fields.integers(name("positions"));
  const std::vector<float> weights = fields.floats(name("weights"));
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto row = weights.begin() + static_cast<std::ptrdiff_t>(i * dim);
    gate.heads.push_back({.id = {layers[i], heads[i]},
                          .position = static_cast<GatePosition>(positions[i]),
                          .weights = {row, row + static_cast<std::ptrdiff_t>(dim)}});
  }
  gate.bias = fields.floats(name("bias")).front();
  gate.threshold = fields.number(name("threshold"), "lock.metadata");
  gate.evidence = {.harmful = fields.integer(name("harmful")),
                   .missed = fields.integer(name("missed")),
                   .harmless = fields.integer(name("harmless")),
                   .false_alarms = fields.integer(name("false_alarms")),
                   .mean = fields.number(name("score_mean"), "lock.metadata"),
                   .sd = fields.number(name("score_sd"), "lock.metadata")};
  gate.prompts_digest = fields.text(name("prompts_digest"));
  return gate;
}

bool is_of_gate(std::string_view name, std::span<const char* const> names) {
  for (const std::string_view prefix : {lock_format::kGatePrefix, lock_format::kReplyGatePrefix}) {
    if (!name.starts_with(prefix)) continue;
    const std::string_view rest = name.substr(prefix.size());
    return std::find(names.begin(), names.end(), rest) != names.end();
  }
  return false;
}

}  // namespace safetylock
