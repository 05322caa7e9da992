#include <algorithm>

#include "report/charts.h"
#include "report/number_text.h"

namespace safetylock::report {
namespace {

constexpr double kLeft = 46, kTop = 14, kHeight = 240, kBottom = 40;
constexpr double kLineHeight = 13;
constexpr int kTicks = 5;

struct Frame {
  Scale x, y;
  double right() const { return x.last; }
  double bottom() const { return y.first; }
};

// Both axes begin at 0; the vertical one shows all shares.
Frame frame_of(const CurveChart& chart) {
  double most = std::max(chart.unlocked.x, chart.x_limit.value_or(0));
  for (const Curve& curve : chart.curves)
    for (const CurvePoint& point : curve.points) most = std::max(most, point.x);
  double names = 0;
  for (const Curve& curve : chart.curves) names = std::max(names, text_width(curve.name));
  const Domain domain = nice_domain(0, most > 0 ? most * 1.02 : 1, kTicks);
  const double to = chart.x_percent ? std::min(1.0, domain.to) : domain.to;
  return {.x = {.from = 0, .to = to, .first = kLeft, .last = kChartWidth - names - 10},
          .y = {.from = 0, .to = 1, .first = kTop + kHeight, .last = kTop}};
}

void draw_axes(Svg& svg, const CurveChart& chart, const Frame& frame) {
  std::vector<double> at = ticks(0, frame.x.to, kTicks);
  std::vector<double> shown = at;
  if (chart.x_percent)
    for (double& value : shown) value *= 100;
  for (size_t i = 0; i < at.size(); ++i) {
    svg.line({frame.x(at[i]), kTop}, {frame.x(at[i]), frame.bottom()}, "grid");
    svg.text({frame.x(at[i]), frame.bottom() + 15}, Anchor::middle, "tick",
             tick_text(shown[i], shown) + (chart.x_percent && i + 1 == at.size() ? " %" : ""));
  }
  for (const double value : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    svg.line({frame.x.first, frame.y(value)}, {frame.right(), frame.y(value)}, "grid");
    svg.text({frame.x.first - 5, frame.y(value) + 4}, Anchor::end, "tick", fixed(100 * value, 0));
  }
  // Long names leave the axis less room than its own words need.
  const double middle = std::max((frame.x.first + frame.right()) / 2, text_width(chart.x_axis) / 2);
  svg.text({middle, frame.bottom() + 33}, Anchor::middle, "axis", chart.x_axis);
  svg.vertical_text({11, kTop + kHeight / 2}, "axis", chart.y_axis);
}

void draw_limits(Svg& svg, const CurveChart& chart, const Frame& frame) {
  const double right = chart.x_limit ? std::min(frame.x(*chart.x_limit), frame.right()) : frame.right();
  const double top = chart.y_limit ? frame.y(*chart.y_limit) : kTop;
  svg.rect({frame.x.first, top}, right - frame.x.first, frame.bottom() - top, "allowed", "within the limits");
  if (chart.x_limit) svg.line({right, kTop}, {right, frame.bottom()}, "limit");
  if (chart.y_limit) svg.line({frame.x.first, top}, {frame.right(), top}, "limit");
}

void draw_point(Svg& svg, const Frame& frame, const CurvePoint& point, const std::string& css_class) {
  const Point at{frame.x(point.x), frame.y(point.y)};
  if (point.chosen) {
    const auto across = [&](double x) { return frame.x(std::min(x, frame.x.to)); };
    svg.line({at.x, frame.y(point.y_low)}, {at.x, frame.y(point.y_high)}, "whisker");
    svg.line({across(point.x_low), at.y}, {across(point.x_high), at.y}, "whisker");
  }
  svg.circle(at, point.chosen ? 5.5 : 3.5, css_class, point.hover);
}

// A curve's name at the right edge, tied to the curve's end.
struct EndLabel {
  std::string text, css_class;
  double y;
  Point end;
};

// Moves labels down where they would cover the one above, and up again from the lower edge.
void spread(std::vector<EndLabel>& labels, double lowest) {
  std::stable_sort(labels.begin(), labels.end(), [](const auto& a, const auto& b) { return a.y < b.y; });
  for (size_t i = 1; i < labels.size(); ++i)
    labels[i].y = std::max(labels[i].y, labels[i - 1].y + kLineHeight);
  double limit = lowest;
  for (size_t i = labels.size(); i-- > 0; limit = labels[i].y - kLineHeight)
    labels[i].y = std::min(labels[i].y, limit);
}

bool has_chosen(const Curve& curve) {
  return std::any_of(curve.points.begin(), curve.points.end(), [](const CurvePoint& p) { return p.chosen; });
}

}  // namespace

std::string curve_chart(const CurveChart& chart) {
  const Frame frame = frame_of(chart);
  Svg svg(kChartWidth, kTop + kHeight + kBottom, chart.label);
  draw_limits(svg, chart, frame);
  draw_axes(svg, chart, frame);
  std::vector<EndLabel> labels;
  for (const Curve& curve : chart.curves) {
    const std::string emphasis = has_chosen(curve) ? " locked" : "";
    std::vector<Point> line = {{frame.x(chart.unlocked.x), frame.y(chart.unlocked.y)}};
    for (const CurvePoint& point : curve.points) line.push_back({frame.x(point.x), frame.y(point.y)});
    svg.polyline(line, "curve" + emphasis);
    labels.push_back({curve.name, "label" + emphasis, line.back().y + 4, line.back()});
  }
  for (const Curve& curve : chart.curves)
    for (const CurvePoint& point : curve.points)
      draw_point(svg, frame, point, point.chosen ? "dot locked" : "dot setting");
  draw_point(svg, frame, chart.unlocked, "dot unlocked");
  spread(labels, frame.bottom() + 4);
  for (const EndLabel& label : labels) {
    svg.line({label.end.x + 6, label.end.y}, {frame.right() + 3, label.y - 4}, "leader");
    svg.text({frame.right() + 6, label.y}, Anchor::start, label.css_class, label.text);
  }
  svg.text({frame.x(chart.unlocked.x) + 8, frame.y(chart.unlocked.y) - 3}, Anchor::start, "label",
           "unlocked");
  return svg.str("chart curves");
}

}  // namespace safetylock::report
