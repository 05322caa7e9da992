#include "cli/transfer_output.h"

#include "cli/json_output.h"

namespace safetylock::cli {
namespace {

Json head_json(const HeadTransfer& head) {
  return {{"layer", head.id.layer},
          {"head", head.id.head},
          {"locked", head.rank.has_value()},
          {"rank", or_null(head.rank)},
          {"cosine", head.cosine},
          {"cosine_low", head.cosine_low},
          {"cosine_high", head.cosine_high},
          {"sigma_ratio", head.sigma_ratio},
          {"kl", head.kl},
          {"nearest", head.nearest},
          {"nearest_cosine", head.nearest_cosine},
          {"lock_cosine_base", or_null(head.lock_cosine_base)},
          {"lock_cosine_tuned", or_null(head.lock_cosine_tuned)}};
}

Json spread_json(const Spread& s) {
  return {{"mean", s.mean}, {"sd", s.sd}, {"low", s.low}, {"high", s.high}, {"min", s.min}, {"max", s.max}};
}

Json summary_json(const TransferSummary& s) {
  return {{"cosine", spread_json(s.cosine)},
          {"sigma_ratio", spread_json(s.sigma_ratio)},
          {"kl", spread_json(s.kl)}};
}

Json curves_json(const HeadDensities::Curves& curves) {
  return {{"safe", curves.safe}, {"unsafe", curves.unsafe}};
}

Json density_json(const HeadDensities& d) {
  return {{"layer", d.id.layer},
          {"head", d.id.head},
          {"from", d.from},
          {"to", d.to},
          {"base", curves_json(d.base)},
          {"tuned", curves_json(d.tuned)},
          {"locked", curves_json(d.locked)}};
}

Json evidence_json(const TransferEvidence& e) {
  return {{"cosine", e.cosine},
          {"cosine_low", e.cosine_low},
          {"own_numbers", e.own_numbers},
          {"sigma_change", e.sigma_change},
          {"kl", e.kl},
          {"separation_base", to_json(e.separation_base)},
          {"separation_tuned", to_json(e.separation_tuned)},
          {"lock_cosine", e.lock_cosine},
          {"lock_pairs", e.lock_pairs},
          {"base_differs", e.base_differs},
          {"tokenizer_differs", e.tokenizer_differs}};
}

Json thresholds_json(const TransferThresholds& t) {
  return {{"pass_cosine", t.pass_cosine},
          {"refuse_cosine", t.refuse_cosine},
          {"pass_own_numbers", t.pass_own_numbers},
          {"refuse_own_numbers", t.refuse_own_numbers},
          {"pass_sigma_change", t.pass_sigma_change},
          {"pass_kl", t.pass_kl},
          {"pass_separation", t.pass_separation},
          {"lock_pairs_cosine", t.lock_pairs_cosine},
          {"other_pairs_cosine", t.other_pairs_cosine}};
}

template <typename T>
Json array_of(const std::vector<T>& values, Json (*convert)(const T&)) {
  Json array = Json::array();
  for (const T& value : values) array.push_back(convert(value));
  return array;
}

}  // namespace

Json transfer_json(const TransferInputs& inputs, const SafetyLock& lock, const Transfer& t) {
  return {{"schema", "safetylock.transfer/1"},
          {"base", inputs.base},
          {"tuned", inputs.tuned},
          {"adapter", text_or_null(inputs.adapter)},
          {"lock",
           {{"path", inputs.lock},
            {"digest", lock.content_digest()},
            {"alpha", lock.default_strength().alpha()},
            {"heads", lock.heads().size()}}},
          {"pairs", inputs.pairs},
          {"pairs_digest", t.pairs_digest},
          {"questions", t.questions},
          {"rows", t.rows},
          {"layers", t.layers},
          {"heads_per_layer", t.heads_per_layer},
          {"heads", array_of(t.heads, head_json)},
          {"summary", {{"locked", summary_json(t.locked)}, {"all", summary_json(t.all)}}},
          {"densities", array_of(t.densities, density_json)},
          {"evidence", evidence_json(t.evidence)},
          {"thresholds", thresholds_json({})},
          {"verdict", to_string(t.judgement.verdict)},
          {"reasons", t.judgement.reasons},
          {"seconds", t.seconds}};
}

}  // namespace safetylock::cli
