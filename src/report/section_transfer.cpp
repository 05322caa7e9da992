// Do the base's directions hold in the fine-tuned model?
#include <algorithm>

#include "report/charts.h"
#include "report/markup.h"
#include "report/number_text.h"
#include "report/sections.h"

namespace safetylock::report {
namespace {

std::string cosine_figure(const Transfer& t) {
  std::vector<double> all, locked;
  double least = 1;
  for (const TransferHead& head : t.heads) {
    all.push_back(head.cosine);
    if (head.locked) locked.push_back(head.cosine);
    least = std::min(least, head.cosine);
  }
  const Domain domain{.from = nice_domain(std::min(least, 0.9), 1, 4).from, .to = 1};
  return figure("Directions in base and tuned model",
                histogram(all, locked, domain, "cosine (1: the same direction)",
                          "Histogram of cosines of " + std::to_string(all.size()) +
                              " heads; mean of the locked ones " + fixed(t.locked.cosine.mean, 3)),
                "Bars: all " + std::to_string(all.size()) + " heads. Strokes below: the " +
                    std::to_string(locked.size()) + " of the lock.");
}

std::string name_of(const HeadPlace& place) {
  return std::to_string(place.layer) + "." + std::to_string(place.head);
}

std::string cosine_text(const TransferHead& head) {
  return fixed(head.cosine, 3) + " [" + fixed(head.cosine_low, 3) + ", " + fixed(head.cosine_high, 3) + "]";
}

std::string cosine_rows(const Transfer& t) {
  constexpr size_t kShown = 24;
  std::vector<ChartRow> rows;
  for (const TransferHead& head : t.heads) {
    if (!head.locked) continue;
    rows.push_back(
        {name_of(head.place), "locked", head.cosine, head.cosine_low, head.cosine_high, cosine_text(head)});
  }
  if (rows.empty()) return "";
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.value < b.value; });
  const size_t total = rows.size();
  rows.resize(std::min(rows.size(), kShown));
  return figure("The lock’s heads, least alike first",
                dot_rows(rows, std::nullopt, "cosine", "Cosine of the lock's heads with intervals",
                         Domain{.from = 0.99, .to = 1}),
                "layer.head, cosine with 95 % interval." +
                    (total > rows.size()
                         ? " The lowest " + std::to_string(rows.size()) + " of " + std::to_string(total) + "."
                         : std::string()));
}

std::vector<std::string> spread_row(const std::string& name, const Spread& s, int decimals) {
  return {name,
          fixed(s.mean, decimals) + " [" + fixed(s.low, decimals) + ", " + fixed(s.high, decimals) + "]",
          fixed(s.sd, decimals), fixed(s.min, decimals), fixed(s.max, decimals)};
}

std::string spread_table(const Transfer& t) {
  return table("Base against fine-tuned, by head",
               {{"", "mean [95 %]", "standard deviation", "least", "most"},
                spread_row("Cosine, locked heads", t.locked.cosine, 3),
                spread_row("Cosine, all heads", t.all.cosine, 3),
                spread_row("Ratio of sigmas, locked heads", t.locked.sigma_ratio, 3),
                spread_row("Ratio of sigmas, all heads", t.all.sigma_ratio, 3),
                spread_row("KL of the projections, locked heads, nats", t.locked.kl, 3),
                spread_row("KL of the projections, all heads, nats", t.all.kl, 3)});
}

std::string verdict_markup(const Transfer& t) {
  std::string reasons;
  for (const std::string& reason : t.reasons) reasons += tag("li", "", escaped(cut(reason, 1000)));
  return tag("p", "class=\"verdict\"",
             tag("strong", "", "Transfer: " + escaped(t.verdict) + ". ") +
                 escaped("Compared: " + t.base + " and " + t.tuned +
                         (t.adapter ? " with " + *t.adapter : "") + ".")) +
         (reasons.empty() ? "" : tag("ul", "class=\"notes\"", reasons));
}

std::string heads_markup(const Transfer& t) {
  std::vector<std::vector<std::string>> rows = {{"Head", "cosine [95 %]", "ratio of sigmas", "KL, nats"}};
  for (const TransferHead& head : t.heads)
    if (head.locked)
      rows.push_back({name_of(head.place), cosine_text(head), fixed(head.sigma_ratio, 3), fixed(head.kl, 4)});
  return tag("details", "",
             tag("summary", "", "The lock’s heads one by one") + table("By layer and head", rows));
}

std::string thresholds_markup(const Transfer& t) {
  std::string tables;
  const auto add = [&](const std::string& caption, const std::vector<NamedNumber>& numbers) {
    std::vector<std::vector<std::string>> rows = {{"Name in the file", "value"}};
    for (const NamedNumber& number : numbers) rows.push_back({number.name, shortest(number.value)});
    if (rows.size() > 1) tables += table(caption, rows);
  };
  add("Measured", t.evidence);
  add("Thresholds", t.thresholds);
  return tables.empty() ? "" : tag("details", "", tag("summary", "", "What the verdict rests on") + tables);
}

std::string densities_markup(const Transfer& t) {
  if (t.densities.empty()) return "";
  std::string charts;
  for (const Density& density : t.densities) charts += density_chart(density);
  return tag("figure", "",
             tag("h3", "", "Safe and unsafe replies along the lock’s directions") +
                 tag("p", "class=\"legend\"",
                     "<span class=\"swatch safe-swatch\"></span>safe replies "
                     "<span class=\"swatch unsafe-swatch\"></span>unsafe replies") +
                 tag("div", "class=\"multiples\"", charts) +
                 tag("figcaption", "",
                     "One panel a head of the lock, one row a model. Where the two kinds still part in the "
                     "tuned model, "
                     "the lock has something to act on; it pushes to the right."));
}

}  // namespace

std::string transfer_section(const ReportData& data) {
  constexpr const char* kHeading = "Does it carry over?";
  if (!data.transfer)
    return section("transfer", kHeading,
                   how_to_get("No transfer was given. To get it:",
                              "safetylock transfer BASE TUNED --lock LOCK --pairs FILE -o transfer.json"));
  const Transfer& t = *data.transfer;
  return section(
      "transfer", kHeading,
      verdict_markup(t) + densities_markup(t) +
          tag("div", "class=\"split\"",
              tag("div", "", cosine_figure(t) + spread_table(t) + heads_markup(t) + thresholds_markup(t)) +
                  cosine_rows(t)));
}

}  // namespace safetylock::report
