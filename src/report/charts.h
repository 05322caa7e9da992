// The report's pictures: numbers in, SVG out. All of them fit a phone at their own size (328 pixels), so that
// nothing has to be made smaller to be seen; heat maps of large models alone are wider and scroll.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/results.h"
#include "report/svg.h"

namespace safetylock::report {

inline constexpr double kChartWidth = 328;

/// A value with its interval: one row of a chart, with its own words.
struct ChartRow {
  std::string label;      ///< left of it
  std::string css_class;  ///< base, unlocked or locked
  double value = 0, low = 0, high = 0;
  std::string text;  ///< right of it
};

/// Bars from 0 to 1 with whiskers; the axis in percent.
std::string share_bars(const std::vector<ChartRow>& rows, const std::string& axis, const std::string& label);

/// Points with whiskers, and `reference` (0, chance ...) as a line. The axis shows all of them and `also`, so
/// that charts that belong together can have one scale.
std::string dot_rows(const std::vector<ChartRow>& rows, std::optional<double> reference,
                     const std::string& axis, const std::string& label, std::optional<Domain> also = {});

/// A layers x heads map; `values` by layer, then head.
struct HeatMap {
  std::int64_t layers = 0, heads = 0;
  std::vector<double> values;
  std::vector<std::string> hovers;  ///< one a cell
  std::vector<HeadPlace> marked;    ///< outlined
  double from = 0, to = 1;          ///< the ends of the colour scale
  std::string scale_name;           ///< below the colour scale
  std::string label;
};
std::string heat_map(const HeatMap& map);

/// One setting of a sweep as a point.
struct CurvePoint {
  double x = 0, y = 0;
  double x_low = 0, x_high = 0, y_low = 0, y_high = 0;
  std::string hover;
  bool chosen = false;
};
struct Curve {
  std::string name;  ///< written at its end
  std::vector<CurvePoint> points;
};
struct CurveChart {
  std::vector<Curve> curves;
  CurvePoint unlocked;
  std::optional<double> x_limit, y_limit;  ///< the region below both is within the limits
  std::string x_axis, y_axis;
  bool x_percent = true;
  std::string label;
};
std::string curve_chart(const CurveChart& chart);

/// Densities of one head in up to three models below each other, on one axis.
std::string density_chart(const Density& density);

/// How many of `values` lie where, and where `marked` ones lie.
std::string histogram(const std::vector<double>& values, const std::vector<double>& marked, Domain domain,
                      const std::string& axis, const std::string& label);

}  // namespace safetylock::report
