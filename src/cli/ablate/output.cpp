#include "cli/ablate/output.h"

#include "cli/json_output.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/text_format.h"

namespace safetylock::cli {
namespace {

const char* on_off(bool on) {
  return on ? "on" : "off";
}

Json lock_json(const VariantLock& lock) {
  const AblationVariant& v = lock.variant;
  Json heads = Json::array();
  for (const HeadDirection& head : lock.heads)
    heads.push_back({{"layer", head.id.layer}, {"head", head.id.head}, {"sigma", head.sigma}});
  return {{"tokens", v.tokens},
          {"heads", v.num_heads},
          {"sigma", on_off(v.sigma)},
          {"direction", to_string(v.direction)},
          {"rows", to_string(v.rows)},
          {"phase", to_string(v.phase)},
          {"alpha", lock.alpha},
          {"push", lock.push},
          {"accuracy", lock.accuracy},
          {"shared_heads", lock.shared},
          {"cosine", lock.cosine},
          {"cosine_min", lock.cosine_min},
          {"lock_heads", std::move(heads)}};
}

Json target_json(const AblationTarget& target) {
  const AblationEffects& e = target.effects;
  Json variants = Json::array();
  for (const VariantEffect& effect : e.variants) {
    variants.push_back({{"harmful", to_json(effect.harmful)},
                        {"benign", to_json(effect.benign)},
                        {"harmful_shift", to_json(effect.harmful_shift)},
                        {"benign_shift", to_json(effect.benign_shift)}});
  }
  return {{"adapter", text_or_null(target.adapter)},
          {"unlocked", {{"harmful", to_json(e.harmful)}, {"benign", to_json(e.benign)}}},
          {"variants", std::move(variants)},
          {"seconds", target.seconds}};
}

std::string share(const Rate& rate) {
  return std::to_string(rate.count) + "/" + std::to_string(rate.n);
}

TableRow lock_row(const VariantLock& lock, const AblationVariant& reference) {
  return {variant_label(lock.variant, reference),
          fixed(lock.accuracy, 3),
          std::to_string(lock.shared) + "/" + std::to_string(lock.heads.size()),
          fixed(lock.cosine, 3),
          fixed(lock.cosine_min, 3),
          fixed(lock.alpha, 2),
          fixed(lock.push, 2)};
}

std::string margin(const Evaluation& e) {
  return with_sign(e.refusal_margin.value);
}

std::string shift_text(const Mean& shift) {
  return text_format("%+.2f [%+.2f, %+.2f]", shift.value, shift.low, shift.high);
}

/// The columns that replies fill, where there are replies.
void add_replies(TableRow& row, const Evaluation& harmful, const Evaluation& benign) {
  if (harmful.answered.n == 0) return;
  row.push_back(share(harmful.answered));
  row.push_back(share(harmful.degenerate));
  row.push_back(share(benign.refused));
}

std::string effects_table(const Ablation& ablation, const AblationEffects& effects) {
  TableRow title = {"variant", "margin", "shift, harmful", "refuse first", "margin", "shift, benign"};
  if (effects.harmful.answered.n > 0) title.insert(title.end(), {"answered", "degenerate", "benign refused"});
  std::vector<TableRow> rows = {std::move(title)};
  rows.push_back({"unlocked", margin(effects.harmful), "", share(effects.harmful.refuses_first),
                  margin(effects.benign), ""});
  add_replies(rows.back(), effects.harmful, effects.benign);
  for (size_t i = 0; i < effects.variants.size(); ++i) {
    const VariantEffect& e = effects.variants[i];
    rows.push_back({variant_label(ablation.locks[i].variant, ablation.locks.front().variant),
                    margin(e.harmful), shift_text(e.harmful_shift), share(e.harmful.refuses_first),
                    margin(e.benign), shift_text(e.benign_shift)});
    add_replies(rows.back(), e.harmful, e.benign);
  }
  return table(rows);
}

}  // namespace

std::string variant_label(const AblationVariant& variant, const AblationVariant& reference) {
  std::string label;
  const auto add = [&](const std::string& part) { label.append(label.empty() ? "" : ", ").append(part); };
  if (variant.tokens != reference.tokens) add("tokens " + std::to_string(variant.tokens));
  if (variant.num_heads != reference.num_heads) add("heads " + std::to_string(variant.num_heads));
  if (variant.sigma != reference.sigma) add(std::string("sigma ") + on_off(variant.sigma));
  if (variant.direction != reference.direction) add(to_string(variant.direction));
  if (variant.rows != reference.rows) add(std::string("rows ") + to_string(variant.rows));
  if (variant.phase != reference.phase) add(std::string("phase ") + to_string(variant.phase));
  return label.empty() ? "reference" : label;
}

Json ablation_json(const Ablation& ablation) {
  Json variants = Json::array(), targets = Json::array();
  for (const VariantLock& lock : ablation.locks) variants.push_back(lock_json(lock));
  for (const AblationTarget& target : ablation.targets) targets.push_back(target_json(target));
  return {{"schema", "safetylock.ablate/1"},
          {"model", ablation.model},
          {"pairs", ablation.pair_count},
          {"pairs_digest", ablation.pairs_digest},
          {"pairs_file", ablation.pairs},
          {"harmful_file", ablation.harmful},
          {"benign_file", ablation.benign},
          {"seed", ablation.seed},
          {"match", ablation.match_push ? "push" : "alpha"},
          {"max_new_tokens", ablation.max_new_tokens},
          {"variants", std::move(variants)},
          {"targets", std::move(targets)},
          {"seconds", {{"collect", ablation.collect_seconds}, {"derive", ablation.derive_seconds}}}};
}

std::string ablation_report(const Session& session, const Ablation& ablation) {
  const AblationVariant& r = ablation.locks.front().variant;
  std::vector<TableRow> rows = {{"variant", "accuracy", "shared", "cosine", "least", "alpha", "push"}};
  for (const VariantLock& lock : ablation.locks) rows.push_back(lock_row(lock, r));
  std::string text = session.heading("Locks; the reference: tokens " + std::to_string(r.tokens) + ", heads " +
                                     std::to_string(r.num_heads) + ", sigma " + on_off(r.sigma) + ", " +
                                     to_string(r.direction) + ", rows " + to_string(r.rows) + ", phase " +
                                     to_string(r.phase)) +
                     "\n" + table(rows);
  for (const AblationTarget& target : ablation.targets) {
    const std::string name =
        target.adapter.empty() ? "on the base itself" : "with adapter " + one_line(target.adapter);
    text += session.heading("Refusal margins " + name) + "\n" + effects_table(ablation, target.effects);
  }
  return text;
}

}  // namespace safetylock::cli
