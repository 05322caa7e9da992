// Safety against utility: what each strength and number of heads gives and costs.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "report/charts.h"
#include "report/markup.h"
#include "report/number_text.h"
#include "report/sections.h"

namespace safetylock::report {
namespace {

// A limit counts degenerate replies against the setting: as answers to harmful prompts, as refusals of benign
// ones.
Rate complement(const Rate& rate) {
  return {.count = rate.n - rate.count,
          .n = rate.n,
          .value = rate.n == 0 ? 0 : 1 - rate.value,
          .low = 1 - rate.high,
          .high = 1 - rate.low};
}

std::string curve_name(const Cell& cell) {
  return std::to_string(cell.heads) + " heads" +
         (cell.threshold ? ", gate " + fixed(*cell.threshold, 3) : "");
}

std::string setting_name(const Cell& cell) {
  if (cell.heads == 0) return "unlocked";
  return curve_name(cell) + ", alpha " + shortest(cell.alpha);
}

std::string hover_of(const Cell& cell) {
  std::string text = setting_name(cell) + ": harmful answered " + counts(cell.harmful.answered) +
                     ", degenerate " + counts(cell.harmful.degenerate) + "; benign refused " +
                     counts(cell.benign.refused) + ", degenerate " + counts(cell.benign.degenerate);
  if (cell.kl) text += "; KL " + with_interval(*cell.kl, 3, false);
  return text;
}

enum class Cost { over_refusal, kl };

CurvePoint point_of(const Cell& cell, Cost cost, bool chosen) {
  const Rate y = complement(cell.harmful.refused), x = complement(cell.benign.answered);
  CurvePoint point{.x = x.value,
                   .y = y.value,
                   .x_low = x.low,
                   .x_high = x.high,
                   .y_low = y.low,
                   .y_high = y.high,
                   .hover = hover_of(cell),
                   .chosen = chosen};
  if (cost == Cost::kl) {
    const Mean kl = cell.kl.value_or(Mean{});  // nothing differs without a lock
    point.x = std::max(0.0, kl.value);
    point.x_low = std::max(0.0, kl.low);
    point.x_high = std::max(0.0, kl.high);
  }
  return point;
}

// One curve a number of heads and threshold of the gate, by strength.
std::vector<Curve> curves_of(const Sweep& sweep, Cost cost) {
  std::vector<size_t> order;
  for (size_t i = 0; i < sweep.cells.size(); ++i)
    if (cost == Cost::over_refusal || sweep.cells[i].kl) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const Cell &x = sweep.cells[a], &y = sweep.cells[b];
    return std::tuple(x.heads, x.threshold, x.alpha) < std::tuple(y.heads, y.threshold, y.alpha);
  });
  std::vector<Curve> curves;
  for (const size_t i : order) {
    const Cell& cell = sweep.cells[i];
    if (curves.empty() || curves.back().name != curve_name(cell)) curves.push_back({curve_name(cell), {}});
    curves.back().points.push_back(point_of(cell, cost, sweep.chosen == i));
  }
  return curves;
}

std::string curve_figure(const Sweep& sweep, Cost cost) {
  const bool kl = cost == Cost::kl;
  CurveChart chart{.curves = curves_of(sweep, cost),
                   .unlocked = point_of(sweep.unlocked, cost, false),
                   .x_limit = kl ? sweep.max_kl : std::optional(sweep.max_over_refusal),
                   .y_limit = sweep.max_answered,
                   .x_axis = kl ? "KL from the unlocked model, nats a token" : "benign prompts not answered",
                   .y_axis = "harmful prompts not refused, %",
                   .x_percent = !kl,
                   .label = {}};
  if (chart.curves.empty()) return "";
  const std::string title = kl ? "Safety against drift" : "Safety against over-refusal";
  chart.label = title + ": " + std::to_string(sweep.cells.size()) + " settings" +
                (sweep.chosen ? "; chosen: " + hover_of(sweep.cells[*sweep.chosen]) : "; none chosen");
  return figure(title, curve_chart(chart),
                "One line a number of heads (and threshold of the gate), a point a strength, from the "
                "unlocked model on. Shaded: within "
                "the limits. " +
                    std::string(sweep.chosen ? "In colour: " + setting_name(sweep.cells[*sweep.chosen]) +
                                                   ", with 95 % intervals. "
                                             : "") +
                    "Lower left is better.");
}

std::string verdict_markup(const Sweep& sweep) {
  const std::string limits =
      "at most " + percent(sweep.max_answered) + " of harmful prompts not refused, at most " +
      percent(sweep.max_over_refusal) + " of benign prompts not answered" +
      (sweep.max_kl ? ", KL at most " + shortest(*sweep.max_kl) + " nats a token" : "");
  if (!sweep.chosen)
    return tag("p", "class=\"verdict\"",
               tag("strong", "", "No setting keeps the limits") + escaped(" (" + limits + ")."));
  const Cell& cell = sweep.cells[*sweep.chosen];
  return tag("p", "class=\"verdict\"",
             tag("strong", "", "Chosen: " + escaped(setting_name(cell)) + ".") +
                 escaped(" The mildest setting that keeps the limits (" + limits +
                         ") on the prompts for choosing; these give no score."));
}

using Rows = std::vector<std::vector<std::string>>;

// What no setting has (KL, where it was not measured) takes no column.
void drop_empty_columns(Rows& rows) {
  for (size_t column = rows[0].size(); column-- > 0;) {
    const bool empty = std::all_of(rows.begin() + 1, rows.end(),
                                   [&](const std::vector<std::string>& row) { return row[column] == "–"; });
    if (!empty) continue;
    for (auto& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(column));
  }
}

std::string cells_table(const Sweep& sweep) {
  Rows rows = {{"heads", "of all", "alpha, σ", "in gaps", "gate opens at", "harmful answered", "degenerate",
                "margin", "benign refused", "degenerate", "margin", "look-alikes refused", "KL, nats/token",
                "in limits"}};
  const auto add = [&](const Cell& cell, const std::string& verdict) {
    const bool lock = cell.heads > 0;
    rows.push_back(
        {lock ? std::to_string(cell.heads) : "unlocked",
         lock && cell.share_of_heads ? fixed(100 * *cell.share_of_heads, 1) + " %" : "–",
         lock ? shortest(cell.alpha) : "–", lock && cell.alpha_gap ? fixed(*cell.alpha_gap, 2) : "–",
         cell.threshold ? fixed(*cell.threshold, 3) : "–", with_interval(cell.harmful.answered),
         std::to_string(cell.harmful.degenerate.count), with_sign(cell.harmful.refusal_margin.value, 1),
         with_interval(cell.benign.refused), std::to_string(cell.benign.degenerate.count),
         with_sign(cell.benign.refusal_margin.value, 1),
         cell.lookalikes ? with_interval(cell.lookalikes->refused) : "–",
         cell.kl ? with_interval(*cell.kl, 3, false) : "–", verdict});
  };
  add(sweep.unlocked, "–");
  for (size_t i = 0; i < sweep.cells.size(); ++i)
    add(sweep.cells[i], sweep.chosen == i ? "chosen" : sweep.cells[i].meets ? "yes" : "no");
  drop_empty_columns(rows);
  return table("All settings: " + std::to_string(sweep.unlocked.harmful.answered.n) + " harmful and " +
                   std::to_string(sweep.unlocked.benign.answered.n) + " benign prompts each",
               rows);
}

}  // namespace

std::string sweep_section(const ReportData& data) {
  constexpr const char* kHeading = "How strong, and how many heads?";
  if (!data.sweep)
    return section(
        "sweep", kHeading,
        how_to_get("No sweep was given. To get it:",
                   "safetylock sweep MODEL --lock LOCK --harmful FILE --benign FILE -o sweep.json"));
  const Sweep& sweep = *data.sweep;
  const std::string drift = curve_figure(sweep, Cost::kl);
  return section("sweep", kHeading,
                 verdict_markup(sweep) +
                     tag("div", "class=\"figures large\"", curve_figure(sweep, Cost::over_refusal) + drift) +
                     cells_table(sweep));
}

}  // namespace safetylock::report
