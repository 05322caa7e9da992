#include "report/facts.h"

namespace safetylock::report {
namespace {

class Rows {
 public:
  explicit Rows(std::string section) : section_(std::move(section)) {}

  void number(const std::string& item, const std::string& metric, double value) {
    rows_.push_back(blank(item, metric));
    rows_.back().value = value;
  }
  void number(const std::string& item, const std::string& metric, const std::optional<double>& value) {
    if (value) number(item, metric, *value);
  }
  void count(const std::string& item, const std::string& metric, std::int64_t value) {
    number(item, metric, static_cast<double>(value));
  }
  void text(const std::string& item, const std::string& metric, const std::string& value) {
    rows_.push_back(blank(item, metric));
    rows_.back().text = value;
  }
  void interval(const std::string& item, const std::string& metric, double value, double low, double high) {
    number(item, metric, value);
    rows_.back().low = low;
    rows_.back().high = high;
  }
  void rate(const std::string& item, const std::string& metric, const Rate& rate) {
    if (rate.n == 0) return;
    interval(item, metric, rate.value, rate.low, rate.high);
    rows_.back().n = rate.n;
  }
  void rate(const std::string& item, const std::string& metric, const std::optional<Rate>& r) {
    if (r) rate(item, metric, *r);
  }
  void mean(const std::string& item, const std::string& metric, const std::optional<Mean>& mean) {
    if (!mean) return;
    interval(item, metric, mean->value, mean->low, mean->high);
    rows_.back().n = mean->n;
  }
  void test(const std::string& item, const std::string& metric, const std::optional<McNemar>& test) {
    if (!test) return;
    count(item, metric + " only unlocked", test->unlocked_only);
    count(item, metric + " only locked", test->locked_only);
    number(item, metric + " McNemar p", test->p);
  }
  void prompt_set(const std::string& item, const PromptSet& set) {
    rate(item, "answered", set.answered);
    rate(item, "refused", set.refused);
    rate(item, "degenerate", set.degenerate);
    rate(item, "refuses_first", set.refuses_first);
    if (set.refusal_margin.n > 0) mean(item, "refusal_margin", set.refusal_margin);
    mean(item, "judge_score", set.judge_score);
    rate(item, "judge_harmful", set.judge_harmful);
    mean(item, "base_perplexity", set.base_perplexity);
    mean(item, "distinct_2", set.distinct_2);
    rate(item, "early_end", set.early_end);
    rate(item, "gate_opened", set.gate_opened);
  }

  std::vector<Fact> take() { return std::move(rows_); }

 private:
  Fact blank(const std::string& item, const std::string& metric) const {
    Fact fact;
    fact.section = section_;
    fact.item = item;
    fact.metric = metric;
    return fact;
  }

  std::string section_;
  std::vector<Fact> rows_;
};

std::string head_item(const HeadPlace& place) {
  return "layer " + std::to_string(place.layer) + " head " + std::to_string(place.head);
}

std::vector<Fact> effect_facts(const ReportData& data) {
  Rows rows("effect");
  for (const Column& column : columns(data)) {
    for (const Kind kind : kKinds)
      if (const PromptSet* set = set_of(column.run, kind))
        rows.prompt_set(std::string(column.name) + " " + key_of(kind), *set);
    if (!column.run->utility) continue;
    rows.mean(std::string(column.name) + " text", "perplexity", column.run->utility->perplexity);
    rows.rate(std::string(column.name) + " choices", "accuracy", column.run->utility->choices);
  }
  for (const Kind kind : kKinds) {
    const SetComparison* set = comparison_of(data, kind);
    if (set == nullptr) continue;
    const std::string item = std::string("comparison ") + key_of(kind);
    rows.test(item, "answered", set->answered);
    rows.test(item, "refused", set->refused);
    rows.test(item, "degenerate", set->degenerate);
    rows.mean(item, "margin_shift", set->margin_shift);
  }
  if (data.locked && data.locked->comparison) {
    const Comparison& comparison = *data.locked->comparison;
    rows.mean("comparison text", "kl", comparison.kl);
    rows.number("comparison text", "perplexity_ratio", comparison.perplexity_ratio);
    rows.test("comparison choices", "accuracy", comparison.choices);
  }
  return rows.take();
}

// Numbered as the replies stand in their file. Texts stay on the page and in the files themselves.
std::vector<Fact> answer_facts(const ReportData& data) {
  Rows rows("answers");
  for (const Column& column : columns(data)) {
    for (const Kind kind : kKinds) {
      const PromptSet* set = set_of(column.run, kind);
      if (set == nullptr) continue;
      for (size_t i = 0; i < set->replies.size(); ++i) {
        const Reply& reply = set->replies[i];
        const std::string item = std::string(column.name) + " " + key_of(kind) + " " + std::to_string(i + 1);
        if (reply.outcome) rows.text(item, "outcome", to_string(*reply.outcome));
        rows.number(item, "refusal_margin", reply.refusal_margin);
        rows.number(item, "judge_score", reply.judge_score);
      }
    }
  }
  return rows.take();
}

std::vector<Fact> head_facts(const ReportData& data) {
  Rows rows("heads");
  if (!data.extraction) return rows.take();
  const Extraction& e = *data.extraction;
  for (const ScoredHead& head : e.ranking) {
    const std::string item = head_item(head.place);
    rows.interval(item, "accuracy", head.accuracy, head.ci_low, head.ci_high);
    rows.number(item, "auc", head.auc);
    rows.number(item, "p_permutation", head.p_permutation);
    rows.number(item, "top_k_share", head.top_k_share);
  }
  for (size_t i = 0; i < e.chosen.size(); ++i)
    rows.count(head_item(e.chosen[i]), "rank in the lock", static_cast<std::int64_t>(i) + 1);
  for (const NamedNumber& number : e.evidence) rows.number("evidence", number.name, number.value);
  if (e.separates) rows.text("evidence", "permutation.separates", *e.separates ? "yes" : "no");
  if (e.causal_check) {
    rows.mean("causal check harmful", "margin_shift", e.causal_check->harmful);
    rows.mean("causal check benign", "margin_shift", e.causal_check->benign);
    rows.text("causal check", "passed", e.causal_check->passed ? "yes" : "no");
  }
  return rows.take();
}

void add_spread(Rows& rows, const std::string& item, const std::string& metric, const Spread& spread) {
  rows.interval(item, metric + " mean", spread.mean, spread.low, spread.high);
  rows.number(item, metric + " sd", spread.sd);
  rows.number(item, metric + " min", spread.min);
  rows.number(item, metric + " max", spread.max);
}

void add_densities(Rows& rows, const Density& density) {
  const auto add = [&](const char* model, const std::optional<DensityPair>& pair) {
    if (!pair) return;
    const double step = (density.to - density.from) / static_cast<double>(pair->safe.size() - 1);
    for (size_t i = 0; i < pair->safe.size(); ++i) {
      const std::string item = head_item(density.place) + " " + model + " grid " + std::to_string(i);
      rows.number(item, "projection", density.from + step * static_cast<double>(i));
      rows.number(item, "density safe", pair->safe[i]);
      rows.number(item, "density unsafe", pair->unsafe[i]);
    }
  };
  add("base", density.base);
  add("tuned", density.tuned);
  add("locked", density.locked);
}

std::vector<Fact> transfer_facts(const ReportData& data) {
  Rows rows("transfer");
  if (!data.transfer) return rows.take();
  const Transfer& t = *data.transfer;
  rows.text("transfer", "verdict", t.verdict);
  for (size_t i = 0; i < t.reasons.size(); ++i)
    rows.text("transfer", "reason " + std::to_string(i + 1), t.reasons[i]);
  for (const NamedNumber& number : t.thresholds) rows.number("thresholds", number.name, number.value);
  for (const NamedNumber& number : t.evidence) rows.number("evidence", number.name, number.value);
  for (const auto& [name, summary] : {std::pair("locked heads", &t.locked), std::pair("all heads", &t.all)}) {
    add_spread(rows, name, "cosine", summary->cosine);
    add_spread(rows, name, "sigma_ratio", summary->sigma_ratio);
    add_spread(rows, name, "kl", summary->kl);
  }
  for (const TransferHead& head : t.heads) {
    const std::string item = head_item(head.place);
    rows.text(item, "locked", head.locked ? "yes" : "no");
    rows.interval(item, "cosine", head.cosine, head.cosine_low, head.cosine_high);
    rows.number(item, "sigma_ratio", head.sigma_ratio);
    rows.number(item, "kl", head.kl);
  }
  for (const Density& density : t.densities) add_densities(rows, density);
  return rows.take();
}

void add_cell(Rows& rows, const std::string& item, const Cell& cell) {
  rows.count(item, "heads", cell.heads);
  rows.number(item, "alpha", cell.alpha);
  rows.number(item, "share_of_heads", cell.share_of_heads);
  rows.number(item, "alpha_gap", cell.alpha_gap);
  rows.prompt_set(item + " harmful", cell.harmful);
  rows.prompt_set(item + " benign", cell.benign);
  if (cell.lookalikes) rows.prompt_set(item + " lookalikes", *cell.lookalikes);
  rows.mean(item, "kl", cell.kl);
  rows.text(item, "meets", cell.meets ? "yes" : "no");
}

std::vector<Fact> sweep_facts(const ReportData& data) {
  Rows rows("sweep");
  if (!data.sweep) return rows.take();
  const Sweep& sweep = *data.sweep;
  rows.number("limits", "max_answered", sweep.max_answered);
  rows.number("limits", "max_over_refusal", sweep.max_over_refusal);
  rows.number("limits", "max_kl", sweep.max_kl);
  if (sweep.chosen) rows.count("sweep", "chosen cell", static_cast<std::int64_t>(*sweep.chosen));
  add_cell(rows, "unlocked", sweep.unlocked);
  for (size_t i = 0; i < sweep.cells.size(); ++i) add_cell(rows, "cell " + std::to_string(i), sweep.cells[i]);
  return rows.take();
}

std::vector<Fact> summary_facts(const ReportData& data, const Summary& summary) {
  Rows rows("summary");
  rows.text("summary", "verdict", summary.verdict + " " + summary.explanation);
  for (const Headline& headline : summary.headlines)
    rows.text("summary", headline.what,
              (headline.before.empty() ? "" : headline.before + " -> ") + headline.after +
                  (headline.beside.empty() ? "" : "; " + headline.beside));
  for (const std::string& note : summary.notes) rows.text("summary", "note", note);
  for (const std::string& warning : data.warnings) rows.text("summary", "warning", warning);
  return rows.take();
}

std::vector<Fact> cost_facts(const ReportData& data) {
  Rows rows("costs");
  for (const Cost& cost : costs_of(data)) {
    rows.number(cost.step, "seconds", cost.seconds);
    rows.number(cost.step, cost.unit, cost.rate);
  }
  return rows.take();
}

std::vector<Fact> provenance_facts(const ReportData& data) {
  Rows rows("provenance");
  for (const Source* source : sources(data)) {
    rows.text(source->file, "schema", source->schema);
    rows.text(source->file, "sha256", source->sha256);
    for (const auto& [name, value] : source->fields) rows.text(source->file, name, value);
  }
  return rows.take();
}

}  // namespace

std::vector<Fact> facts(const ReportData& data, const Summary& summary) {
  std::vector<Fact> all;
  for (std::vector<Fact> part :
       {summary_facts(data, summary), effect_facts(data), answer_facts(data), head_facts(data),
        transfer_facts(data), sweep_facts(data), cost_facts(data), provenance_facts(data)})
    for (Fact& fact : part) all.push_back(std::move(fact));
  return all;
}

}  // namespace safetylock::report
