#include <algorithm>
#include <cmath>

#include "report/charts.h"
#include "report/number_text.h"

namespace safetylock::report {
namespace {

constexpr double kWidth = 248, kLeft = 58, kRight = 8, kTop = 16, kRowHeight = 46, kRowGap = 6,
                 kAxisHeight = 34;

struct Row {
  const char* name;
  const DensityPair* pair;
};

std::vector<Row> rows_of(const Density& density) {
  std::vector<Row> rows;
  if (density.base) rows.push_back({"base", &*density.base});
  if (density.tuned) rows.push_back({"tuned", &*density.tuned});
  if (density.locked) rows.push_back({"locked", &*density.locked});
  return rows;
}

double highest(const std::vector<Row>& rows) {
  double most = 0;
  for (const Row& row : rows)
    for (const auto* curve : {&row.pair->safe, &row.pair->unsafe})
      most = std::max(most, *std::max_element(curve->begin(), curve->end()));
  return most > 0 ? most : 1;
}

// Over the ground line at `bottom`; closed along it when it is to be filled.
std::vector<Point> outline(const std::vector<double>& curve, const Scale& grid, double bottom, double scale,
                           bool closed) {
  std::vector<Point> points;
  if (closed) points.push_back({grid(0), bottom});
  for (size_t i = 0; i < curve.size(); ++i)
    points.push_back({grid(static_cast<double>(i)), bottom - scale * curve[i]});
  if (closed) points.push_back({points.back().x, bottom});
  return points;
}

}  // namespace

std::string density_chart(const Density& density) {
  const std::vector<Row> rows = rows_of(density);
  const double bottom = kTop + (kRowHeight + kRowGap) * static_cast<double>(rows.size());
  const std::string place = std::to_string(density.place.layer) + "." + std::to_string(density.place.head);
  Svg svg(kWidth, bottom + kAxisHeight,
          "Densities of head " + place + ", safe and unsafe replies, one row a model");
  svg.text({kLeft, 11}, Anchor::start, "name", "head " + place);
  const Scale x{.from = density.from, .to = density.to, .first = kLeft, .last = kWidth - kRight};
  const std::vector<double> at = ticks(density.from, density.to, 4);
  for (const double value : at) {
    svg.line({x(value), kTop}, {x(value), bottom}, "grid");
    svg.text({x(value), bottom + 14}, Anchor::middle, "tick", tick_text(value, at));
  }
  const double scale = kRowHeight / highest(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    const DensityPair& pair = *rows[i].pair;
    const double ground = kTop + (kRowHeight + kRowGap) * static_cast<double>(i + 1);
    const Scale grid{
        .from = 0, .to = static_cast<double>(pair.safe.size() - 1), .first = kLeft, .last = kWidth - kRight};
    svg.area(outline(pair.unsafe, grid, ground, scale, true), "unsafe-area");
    svg.area(outline(pair.safe, grid, ground, scale, true), "safe-area");
    svg.polyline(outline(pair.unsafe, grid, ground, scale, false), "unsafe-line");
    svg.polyline(outline(pair.safe, grid, ground, scale, false), "safe-line");
    svg.line({kLeft, ground}, {kWidth - kRight, ground}, "zero");
    svg.text({kLeft - 8, ground - 4}, Anchor::end, "label", rows[i].name);
  }
  svg.text({(kLeft + kWidth - kRight) / 2, bottom + 29}, Anchor::middle, "axis",
           "projection on the direction");
  return svg.str();
}

std::string histogram(const std::vector<double>& values, const std::vector<double>& marked, Domain domain,
                      const std::string& axis, const std::string& label) {
  constexpr size_t kBins = 40;
  constexpr double kHistogramLeft = 40, kHistogramTop = 8, kHeight = 110, kRug = 14, kBelow = 38;
  const double bottom = kHistogramTop + kHeight;
  Svg svg(kChartWidth, bottom + kRug + kBelow, label);
  const Scale x{.from = domain.from, .to = domain.to, .first = kHistogramLeft, .last = kChartWidth - 14};
  std::vector<std::int64_t> bins(kBins);
  for (const double value : values) {
    const double share = (value - domain.from) / (domain.to - domain.from);
    ++bins[static_cast<size_t>(std::clamp(std::floor(share * kBins), 0.0, double{kBins - 1}))];
  }
  const auto most = static_cast<double>(*std::max_element(bins.begin(), bins.end()));
  const Domain counts_shown = nice_domain(0, std::max(1.0, most), 3);
  const Scale y{.from = 0, .to = counts_shown.to, .first = bottom, .last = kHistogramTop};
  const std::vector<double> levels = ticks(0, counts_shown.to, 3);
  for (const double level : levels) {
    svg.line({kHistogramLeft, y(level)}, {kChartWidth - 14, y(level)}, "grid");
    svg.text({kHistogramLeft - 5, y(level) + 4}, Anchor::end, "tick", tick_text(level, levels));
  }
  const double width = (x.last - x.first) / kBins;
  for (size_t i = 0; i < kBins; ++i) {
    if (bins[i] == 0) continue;
    const auto count = static_cast<double>(bins[i]);
    svg.rect({x.first + width * static_cast<double>(i) + 0.5, y(count)}, width - 1, bottom - y(count),
             "bar all", std::to_string(bins[i]) + " heads");
  }
  svg.line({kHistogramLeft, bottom}, {kChartWidth - 14, bottom}, "zero");
  for (const double value : marked) {
    const double at = x(std::clamp(value, domain.from, domain.to));
    svg.line({at, bottom + 3}, {at, bottom + kRug - 1}, "rug");
  }
  const std::vector<double> at = ticks(domain.from, domain.to, 5);
  for (const double value : at)
    svg.text({x(value), bottom + kRug + 13}, Anchor::middle, "tick", tick_text(value, at));
  svg.vertical_text({11, kHistogramTop + kHeight / 2}, "axis", "heads");
  svg.text({(x.first + x.last) / 2, bottom + kRug + 30}, Anchor::middle, "axis", axis);
  return svg.str();
}

}  // namespace safetylock::report
