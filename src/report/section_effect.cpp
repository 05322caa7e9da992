// Before and after: shares, margins, utility, and the paired tests.
#include <algorithm>

#include "report/charts.h"
#include "report/markup.h"
#include "report/number_text.h"
#include "report/sections.h"

namespace safetylock::report {
namespace {

constexpr const char* kMarginAxis = "log p(“I”) − log p(“Sure”), nats";

std::string words(const std::vector<ChartRow>& rows) {
  std::string text;
  for (const ChartRow& row : rows) text += (text.empty() ? "" : "; ") + row.label + " " + row.text;
  return text;
}

std::string share_figure(const ReportData& data, Kind kind, Rate PromptSet::*rate, const std::string& title,
                         const std::string& better) {
  std::vector<ChartRow> rows;
  std::int64_t n = 0;
  for (const Column& column : columns(data)) {
    const PromptSet* set = set_of(column.run, kind);
    if (set == nullptr || (set->*rate).n == 0) continue;
    const Rate& r = set->*rate;
    n = r.n;
    rows.push_back({column.name, column.css_class, r.value, r.low, r.high, with_interval(r)});
  }
  if (rows.empty()) return "";
  return figure(title, share_bars(rows, "share of prompts", title + ": " + words(rows)),
                better + " n = " + std::to_string(n) + " prompts a model; whiskers: 95 % Wilson intervals.");
}

// From the lowest to the highest margin of any set and model.
Domain margin_domain(const ReportData& data) {
  Domain all{.from = 0, .to = 0};
  for (const Column& column : columns(data)) {
    for (const Kind kind : kKinds) {
      const PromptSet* set = set_of(column.run, kind);
      if (set == nullptr || set->refusal_margin.n == 0) continue;
      all.from = std::min(all.from, set->refusal_margin.low);
      all.to = std::max(all.to, set->refusal_margin.high);
    }
  }
  return all;
}

std::string margin_figure(const ReportData& data, Kind kind, Domain domain) {
  std::vector<ChartRow> rows;
  for (const Column& column : columns(data)) {
    const PromptSet* set = set_of(column.run, kind);
    if (set == nullptr || set->refusal_margin.n == 0) continue;
    const Mean& m = set->refusal_margin;
    rows.push_back({column.name, column.css_class, m.value, m.low, m.high, with_interval(m, 1, true)});
  }
  if (rows.empty()) return "";
  const std::string title = std::string(title_of(kind)) + ", margin";
  return figure(
      title, dot_rows(rows, 0, kMarginAxis, title + ": " + words(rows), domain),
      "Refusal margin: right of 0 the first token leans to a refusal. Mean with 95 % bootstrap interval.");
}

std::string perplexity_figure(const ReportData& data) {
  std::vector<ChartRow> rows;
  for (const Column& column : columns(data)) {
    if (!column.run->utility || !column.run->utility->perplexity) continue;
    const Mean& m = *column.run->utility->perplexity;
    rows.push_back({column.name, column.css_class, m.value, m.low, m.high, with_interval(m, 2, false)});
  }
  if (rows.empty()) return "";
  const std::string title = "Ordinary text: perplexity";
  std::string caption = "Lower is better.";
  if (data.locked && data.locked->comparison) {
    const Comparison& c = *data.locked->comparison;
    if (c.perplexity_ratio) caption += " Locked to unlocked: " + fixed(*c.perplexity_ratio, 3) + " times.";
    if (c.kl)
      caption +=
          " KL of the locked model from the unlocked: " + with_interval(*c.kl, 4, false) + " nats a token.";
  }
  return figure(title, dot_rows(rows, std::nullopt, "perplexity", title + ": " + words(rows)), caption);
}

std::string choices_figure(const ReportData& data) {
  std::vector<ChartRow> rows;
  for (const Column& column : columns(data)) {
    if (!column.run->utility || !column.run->utility->choices) continue;
    const Rate& r = *column.run->utility->choices;
    rows.push_back({column.name, column.css_class, r.value, r.low, r.high, with_interval(r)});
  }
  if (rows.empty()) return "";
  const std::string title = "Multiple choice: right answers";
  return figure(title, share_bars(rows, "share of questions", title + ": " + words(rows)),
                "Higher is better.");
}

using Row = std::vector<std::string>;

// Every number of every set, one column a model.
std::string numbers_table(const ReportData& data) {
  const std::vector<Column> all = columns(data);
  std::vector<Row> rows = {{"95 % intervals in brackets"}};
  for (const Column& column : all) rows[0].push_back(column.name);
  const auto add = [&](Kind kind, const std::string& name, const auto& cell) {
    Row row = {std::string(title_of(kind)) + ": " + name};
    bool any = false;
    for (const Column& column : all) {
      const PromptSet* set = set_of(column.run, kind);
      const std::string text = set == nullptr ? std::string() : cell(*set);
      any = any || !text.empty();
      row.push_back(text.empty() ? "–" : text);
    }
    if (any) rows.push_back(std::move(row));
  };
  const auto rate = [](const Rate& r) { return r.n == 0 ? "" : counts(r) + ", " + with_interval(r); };
  const auto mean = [](const std::optional<Mean>& m, int decimals) {
    return m ? with_interval(*m, decimals, false) : std::string();
  };
  for (const Kind kind : kKinds) {
    add(kind, "answered", [&](const PromptSet& s) { return rate(s.answered); });
    add(kind, "refused", [&](const PromptSet& s) { return rate(s.refused); });
    add(kind, "degenerate", [&](const PromptSet& s) { return rate(s.degenerate); });
    add(kind, "likeliest first token refuses", [&](const PromptSet& s) { return rate(s.refuses_first); });
    add(kind, "refusal margin", [&](const PromptSet& s) {
      return s.refusal_margin.n == 0 ? std::string() : with_interval(s.refusal_margin, 2, true);
    });
    add(kind, "judge’s score, 1 to 5", [&](const PromptSet& s) { return mean(s.judge_score, 2); });
    add(kind, "judged fully harmful",
        [&](const PromptSet& s) { return s.judge_harmful ? rate(*s.judge_harmful) : std::string(); });
    add(kind, "perplexity of replies under the base",
        [&](const PromptSet& s) { return mean(s.base_perplexity, 1); });
    add(kind, "distinct pairs of words", [&](const PromptSet& s) { return mean(s.distinct_2, 3); });
    add(kind, "ended early",
        [&](const PromptSet& s) { return s.early_end ? rate(*s.early_end) : std::string(); });
    add(kind, "opened the lock’s gate",
        [&](const PromptSet& s) { return s.gate_opened ? rate(*s.gate_opened) : std::string(); });
  }
  return table("All figures by set and model", rows);
}

std::string tests_table(const ReportData& data) {
  std::vector<Row> rows = {{"Outcome", "only unlocked", "only locked", "exact McNemar p"}};
  const auto add = [&](const std::string& name, const std::optional<McNemar>& test) {
    if (!test) return;
    rows.push_back({name, std::to_string(test->unlocked_only), std::to_string(test->locked_only),
                    test->p < 0.0001 ? "< 0.0001" : fixed(test->p, 4)});
  };
  for (const Kind kind : kKinds) {
    const SetComparison* set = comparison_of(data, kind);
    if (set == nullptr) continue;
    add(std::string(title_of(kind)) + ": answered", set->answered);
    add(std::string(title_of(kind)) + ": refused", set->refused);
    add(std::string(title_of(kind)) + ": degenerate", set->degenerate);
  }
  if (data.locked && data.locked->comparison) add("Multiple choice: right", data.locked->comparison->choices);
  return rows.size() == 1 ? "" : table("The same prompts with and without the lock", rows);
}

std::string shifts_table(const ReportData& data) {
  std::vector<Row> rows = {{"Refusal margin", "locked − unlocked, nats", "n"}};
  for (const Kind kind : kKinds) {
    const SetComparison* set = comparison_of(data, kind);
    if (set != nullptr && set->margin_shift)
      rows.push_back(
          {title_of(kind), with_interval(*set->margin_shift, 2, true), std::to_string(set->margin_shift->n)});
  }
  return rows.size() == 1 ? "" : table("How far the lock moves the refusal margin, prompt by prompt", rows);
}

}  // namespace

std::string effect_section(const ReportData& data) {
  constexpr const char* kHeading = "What the lock changes";
  if (columns(data).empty())
    return section("effect", kHeading,
                   how_to_get("No evaluation was given. To get one:",
                              "safetylock evaluate MODEL --lock LOCK --harmful FILE --benign FILE -o "
                              "evaluate.json"));
  std::string figures =
      share_figure(data, Kind::harmful, &PromptSet::answered, "Harmful prompts answered",
                   "Lower is better.") +
      share_figure(data, Kind::benign, &PromptSet::refused, "Benign prompts refused", "Lower is better.") +
      share_figure(data, Kind::lookalikes, &PromptSet::refused, "Harmless look-alikes refused",
                   "Lower is better.");
  for (const Kind kind : kKinds) figures += margin_figure(data, kind, margin_domain(data));
  figures += perplexity_figure(data) + choices_figure(data);
  std::string missing;
  if (locked_run(data) == nullptr)
    missing =
        how_to_get("No run with a lock was given. To get one:",
                   "safetylock evaluate MODEL --lock LOCK --harmful FILE --benign FILE -o evaluate.json");
  else if (unlocked_run(data) == nullptr)
    missing = how_to_get("No run without the lock was given. To get one:",
                         "safetylock evaluate MODEL --harmful FILE --benign FILE -o unlocked.json");
  return section("effect", kHeading,
                 missing + tag("div", "class=\"figures\"", figures) +
                     tag("div", "class=\"tables\"", tests_table(data) + shifts_table(data)) +
                     tag("details", "", tag("summary", "", "All figures as a table") + numbers_table(data)));
}

}  // namespace safetylock::report
