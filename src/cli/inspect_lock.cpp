#include "cli/inspect_parts.h"
#include "safetylock/lock.h"

namespace safetylock::cli {
namespace {

Json identity_json(const LockIdentity& id) {
  return {{"architecture", id.architecture},
          {"layers", id.num_hidden_layers},
          {"heads", id.num_attention_heads},
          {"kv_heads", id.num_key_value_heads},
          {"head_dim", id.head_dim},
          {"hidden_size", id.hidden_size},
          {"base_model", id.base_model},
          {"config_digest", id.config_digest},
          {"tokenizer_digest", id.tokenizer_digest},
          {"template_digest", id.template_digest},
          {"weights_digest", id.weights_digest},
          {"pairs_digest", id.pairs_digest},
          {"protocol", id.protocol},
          {"tokens_per_reply", id.tokens_per_reply},
          {"seed", id.seed},
          {"revision", id.revision},
          {"library_version", id.library_version}};
}

Json gate_json(const std::optional<Gate>& gate) {
  if (!gate) return nullptr;
  Json heads = Json::array();
  for (const GateHead& head : gate->heads) {
    heads.push_back(
        {{"layer", head.id.layer}, {"head", head.id.head}, {"position", to_string(head.position)}});
  }
  const GateEvidence& e = gate->evidence;
  return {{"threshold", gate->threshold},
          {"bias", gate->bias},
          {"harmful", e.harmful},
          {"missed", e.missed},
          {"harmless", e.harmless},
          {"false_alarms", e.false_alarms},
          {"prompts_digest", gate->prompts_digest},
          {"heads", std::move(heads)}};
}

}  // namespace

Json inspect_lock(const std::string& path) {
  const SafetyLock lock = SafetyLock::load(path);
  Json heads = Json::array();
  for (const HeadDirection& head : lock.heads()) {
    heads.push_back({{"layer", head.id.layer},
                     {"head", head.id.head},
                     {"score", head.score},
                     {"sigma", head.sigma},
                     {"gap", head.gap}});
  }
  return {{"schema", "safetylock.inspect/1"},
          {"kind", "lock"},
          {"path", path},
          {"content_digest", lock.content_digest()},
          {"alpha", lock.default_strength().alpha()},
          {"alpha_max", lock.alpha_max()},
          {"identity", identity_json(lock.identity())},
          {"heads", std::move(heads)},
          {"gate", gate_json(lock.gate())},
          {"reply_gate", gate_json(lock.reply_gate())}};
}

}  // namespace safetylock::cli
