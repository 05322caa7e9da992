// Which heads tell safe replies from unsafe ones, and which of them the lock uses.
#include <algorithm>
#include <cmath>
#include <map>

#include "report/charts.h"
#include "report/markup.h"
#include "report/number_text.h"
#include "report/sections.h"

namespace safetylock::report {
namespace {

constexpr size_t kShownHeads = 24;

std::string name_of(const HeadPlace& place) {
  return std::to_string(place.layer) + "." + std::to_string(place.head);
}

std::string accuracy_text(const ScoredHead& head) {
  return fixed(100 * head.accuracy, 1) + " [" + fixed(100 * head.ci_low, 0) + ", " +
         fixed(100 * head.ci_high, 0) + "]";
}

std::string map_figure(const Extraction& e) {
  HeatMap map{.layers = e.layers,
              .heads = e.heads_per_layer,
              .values = std::vector<double>(e.ranking.size()),
              .hovers = std::vector<std::string>(e.ranking.size()),
              .marked = e.chosen,
              .from = 0.5,
              .to = 0.5,
              .scale_name = "validation accuracy (0.5: chance)",
              .label = {}};
  for (size_t rank = 0; rank < e.ranking.size(); ++rank) {
    const ScoredHead& head = e.ranking[rank];
    const auto i = static_cast<size_t>(head.place.layer * e.heads_per_layer + head.place.head);
    const bool locked = std::find(e.chosen.begin(), e.chosen.end(), head.place) != e.chosen.end();
    map.values[i] = head.accuracy;
    std::string hover = "layer " + std::to_string(head.place.layer) + ", head " +
                        std::to_string(head.place.head) + ": " + accuracy_text(head) + " %, rank " +
                        std::to_string(rank + 1);
    if (head.p_permutation) hover += ", permutation p " + fixed(*head.p_permutation, 3);
    if (head.top_k_share) hover += ", among the best in " + percent(*head.top_k_share) + " of draws";
    map.hovers[i] = hover + (locked ? ", in the lock" : "");
    map.from = std::min(map.from, head.accuracy);
    map.to = std::max(map.to, head.accuracy);
  }
  map.from = std::floor(map.from * 20 + 1e-9) / 20;
  map.to = std::max(map.from + 0.05, std::ceil(map.to * 20 - 1e-9) / 20);
  map.label = "Accuracy of a probe on each of " + std::to_string(e.layers) + " layers x " +
              std::to_string(e.heads_per_layer) + " heads; the best, " + name_of(e.ranking[0].place) +
              ", reaches " + fixed(100 * e.ranking[0].accuracy, 1) + " %";
  return figure(
      "Probe accuracy by layer and head",
      tag("div", "class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Probe accuracy map\"",
          heat_map(map)),
      "Outlined: the " + std::to_string(e.chosen.size()) +
          " heads of the lock. Point at a cell for its figures.");
}

std::string top_figure(const Extraction& e) {
  std::map<HeadPlace, const ScoredHead*> scores;
  for (const ScoredHead& head : e.ranking) scores[head.place] = &head;
  std::vector<ChartRow> rows;
  for (const HeadPlace& place : e.chosen) {
    if (rows.size() == kShownHeads) break;
    const ScoredHead& head = *scores.at(place);
    rows.push_back({name_of(place), "locked", 100 * head.accuracy, 100 * head.ci_low, 100 * head.ci_high,
                    accuracy_text(head)});
  }
  const std::string more = e.chosen.size() > rows.size() ? " The first " + std::to_string(rows.size()) +
                                                               " of " + std::to_string(e.chosen.size()) + "."
                                                         : "";
  return figure("The lock’s heads, best first",
                dot_rows(rows, 50, "validation accuracy, %", "Accuracy of the lock's heads with intervals"),
                "layer.head, accuracy with 95 % interval; the line at 50 is chance." + more);
}

std::optional<double> evidence(const Extraction& e, const std::string& name) {
  for (const NamedNumber& number : e.evidence)
    if (number.name == name) return number.value;
  return std::nullopt;
}

// What the figures behind the ranking say, as far as the file has them.
std::string evidence_words(const Extraction& e) {
  std::string text;
  if (const auto chance = evidence(e, "permutation.top_accuracy_quantile_95")) {
    const auto above = std::count_if(e.ranking.begin(), e.ranking.end(),
                                     [&](const ScoredHead& head) { return head.accuracy > *chance; });
    text += "With labels that mean nothing the best head stays below " + fixed(100 * *chance, 1) +
            " % in 95 % of rounds; " + grouped(above) + " of " +
            grouped(static_cast<std::int64_t>(e.ranking.size())) + " heads lie above that. ";
  }
  if (const auto jaccard = evidence(e, "stability.mean_jaccard")) {
    const auto by_chance = evidence(e, "stability.chance_jaccard");
    text += "When questions are drawn anew, the sets of best heads overlap by " + fixed(*jaccard, 2) +
            " (Jaccard; 1: always the same heads" +
            (by_chance ? ", " + fixed(*by_chance, 2) + " by chance" : "") + "). ";
  }
  if (const auto leak = evidence(e, "paper.leak"))
    text += "Split by rows instead of questions, as in the paper, the chosen heads’ accuracy differs by " +
            with_sign(100 * *leak, 1) + " points; above 0, that leaks from other rows of the same questions.";
  return text;
}

std::string evidence_markup(const Extraction& e) {
  const std::string text = evidence_words(e);
  std::string markup = text.empty() ? "" : tag("p", "", escaped(text));
  if (!e.evidence.empty()) {
    std::vector<std::vector<std::string>> rows = {{"Evidence for the ranking", "value"}};
    for (const NamedNumber& number : e.evidence) rows.push_back({number.name, shortest(number.value)});
    markup += tag("details", "",
                  tag("summary", "", "All figures behind the ranking") +
                      table("Permutation baseline, stability, protocols", rows));
  }
  return markup;
}

std::string causal_markup(const Extraction& e) {
  if (!e.causal_check) return "";
  const MarginShift& check = *e.causal_check;
  return tag("p", "",
             tag("strong", "", check.passed ? "Causal check passed. " : "Causal check failed. ") +
                 escaped("On the base itself the lock moves the refusal margin of harmful prompts by " +
                         with_interval(check.harmful, 1, true) + " and of benign ones by " +
                         with_interval(check.benign, 1, true) + " nats."));
}

}  // namespace

std::string heads_section(const ReportData& data) {
  constexpr const char* kHeading = "Where the lock acts";
  constexpr const char* kCommand = "safetylock extract BASE --pairs FILE -o LOCK --json > extract.json";
  if (!data.extraction)
    return section("heads", kHeading, how_to_get("No extraction was given. To get it:", kCommand));
  const Extraction& e = *data.extraction;
  const std::string map =
      e.layers > 0
          ? map_figure(e)
          : how_to_get("The file scores the lock’s heads alone. For the map of all heads:", kCommand);
  return section(
      "heads", kHeading,
      tag("div", "class=\"figures\"",
          map + top_figure(e) + tag("div", "class=\"words\"", evidence_markup(e) + causal_markup(e))));
}

}  // namespace safetylock::report
