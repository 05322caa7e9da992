#include <algorithm>
#include <numeric>

#include "cli/extract/output.h"
#include "cli/json_output.h"
#include "pipeline/evaluate_parts.h"

namespace safetylock::cli {
namespace {

Json score_json(const HeadScore& score) {
  return {{"layer", score.id.layer},
          {"head", score.id.head},
          {"accuracy", score.accuracy},
          {"ci_low", score.ci_low},
          {"ci_high", score.ci_high},
          {"auc", score.auc},
          {"train_accuracy", score.train_accuracy}};
}

Json heads_json(const SafetyLock& lock, const Extraction& e) {
  Json heads = Json::array();
  for (size_t i = 0; i < lock.heads().size(); ++i) {
    heads.push_back(score_json(e.ranking[i]));
    heads.back()["sigma"] = lock.heads()[i].sigma;
  }
  return heads;
}

Json ranking_json(const Extraction& e) {
  Json heads = Json::array();
  for (const HeadScore& score : e.ranking) {
    heads.push_back(score_json(score));
    heads.back()["p_permutation"] = or_null(e.p_value(score));
    heads.back()["top_k_share"] = or_null(e.top_k_share(score));
  }
  return heads;
}

Json permutation_json(const Extraction& e) {
  if (!e.evidence.permutation) return nullptr;
  const PermutationBaseline& p = *e.evidence.permutation;
  return {{"rounds", p.rounds},
          {"top_accuracy", p.top_accuracy},
          {"top_accuracy_quantile_95", p.top_quantile_95},
          {"mean_accuracy", std::accumulate(p.mean_accuracy.begin(), p.mean_accuracy.end(), 0.0) /
                                static_cast<double>(p.rounds)},
          {"p_best", *e.p_value(e.ranking.front())},
          {"separates", *e.evidence.separates}};
}

Json stability_json(const RankingEvidence& evidence) {
  if (!evidence.stability) return nullptr;
  const TopHeadStability& s = *evidence.stability;
  return {{"rounds", s.rounds},
          {"k", s.k},
          {"mean_jaccard", s.mean_jaccard},
          {"chance_jaccard", s.chance_jaccard},
          {"mean_shared", s.mean_shared},
          {"chance_shared", s.chance_shared}};
}

Json paper_json(const RankingEvidence& evidence) {
  const ProtocolComparison& p = evidence.protocols;
  return {{"k", p.k},
          {"accuracy", p.paper_accuracy},
          {"row_split_accuracy", p.row_split_accuracy},
          {"grouped_accuracy", p.grouped_accuracy},
          {"leak", p.leak},
          {"leak_of_all_heads", p.leak_of_all_heads},
          {"shared_heads", p.shared},
          {"accuracy_on_shuffled_labels", or_null(evidence.paper_on_shuffled_labels)}};
}

}  // namespace

namespace {

Json gate_json(const std::optional<DerivedGate>& derived) {
  if (!derived) return nullptr;
  const Gate& gate = derived->gate;
  const GateEvidence& e = gate.evidence;
  Json candidates = Json::array();
  for (const GateCandidate& c : derived->candidates) {
    Json positions = Json::array();
    for (const GatePosition position : c.positions) positions.push_back(to_string(position));
    candidates.push_back({{"positions", std::move(positions)},
                          {"heads", c.num_heads},
                          {"C", c.C},
                          {"auc", c.auc},
                          {"log_loss", c.log_loss}});
  }
  return {{"prompts_digest", gate.prompts_digest},
          {"threshold", gate.threshold},
          {"auc", derived->auc},
          {"log_loss", derived->log_loss},
          {"missed", to_json(rate_of(e.missed, e.harmful))},
          {"false_alarms", to_json(rate_of(e.false_alarms, e.harmless))},
          {"chosen", derived->chosen},
          {"candidates", std::move(candidates)},
          {"scores", derived->scores}};
}

}  // namespace

Json extraction_json(const ExtractOptions& options, const SafetyLock& lock, const Extraction& e) {
  const LockIdentity& id = lock.identity();
  const ExtractSeconds& s = e.seconds;
  return {{"schema", "safetylock.extract/2"},
          {"lock", options.output},
          {"lock_digest", lock.content_digest()},
          {"model", options.model},
          {"pairs", e.pairs},
          {"pairs_digest", id.pairs_digest},
          {"rows", e.rows},
          {"tokens", e.tokens},
          {"tokens_per_reply", id.tokens_per_reply},
          {"protocol", id.protocol},
          {"seed", id.seed},
          {"alpha", lock.default_strength().alpha()},
          {"pairs_per_second", e.pairs_per_second},
          {"seconds",
           {{"load", s.load},
            {"collect", s.collect},
            {"rank", s.rank},
            {"evidence", s.evidence},
            {"derive", s.derive},
            {"gate", s.gate},
            {"causal_check", s.causal_check},
            {"total", s.total}}},
          {"layers", e.layers},
          {"heads_per_layer", e.heads_per_layer},
          {"heads", heads_json(lock, e)},
          {"ranking", ranking_json(e)},
          {"evidence",
           {{"permutation", permutation_json(e)},
            {"stability", stability_json(e.evidence)},
            {"paper", paper_json(e.evidence)}}},
          {"gate", gate_json(e.gate)},
          {"reply_gate", gate_json(e.reply_gate)},
          {"causal_check", e.check ? to_json(*e.check) : Json(nullptr)},
          {"causal_check_omitted", e.check ? Json(nullptr) : Json(kNoCausalCheck)}};
}

}  // namespace safetylock::cli
