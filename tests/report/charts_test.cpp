// Where marks stand, computed here from the numbers alone; colours; labels that do not overlap.
#include "report/charts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "report/palette.h"

namespace safetylock::report {
namespace {

double attribute(const std::string& element, const std::string& name) {
  std::smatch match;
  EXPECT_TRUE(std::regex_search(element, match, std::regex(" " + name + "=\"([-0-9.]+)\""))) << element;
  return match.empty() ? NAN : std::stod(match[1]);
}

// The elements of one name whose class begins with `css_class`, in order.
std::vector<std::string> elements(const std::string& svg, const std::string& name,
                                  const std::string& css_class) {
  const std::regex pattern("<" + name + " [^>]*class=\"" + css_class + "[^\"]*\"[^>]*>");
  std::vector<std::string> found;
  for (std::sregex_iterator i(svg.begin(), svg.end(), pattern), end; i != end; ++i) found.push_back(i->str());
  return found;
}

// 0 and 1 stand where the grid lines of the axis do.
TEST(ShareBars, LengthsAndWhiskersAreTheNumbers) {
  const std::string svg = share_bars({{"base", "base", 0.15, 0.09, 0.23, "15 % [9, 23]"},
                                      {"locked", "locked", 1, 0.93, 1, "100 % [93, 100]"}},
                                     "share", "label");
  const auto grid = elements(svg, "line", "grid");
  ASSERT_EQ(grid.size(), 3U);
  const double zero = attribute(grid[0], "x1"), one = attribute(grid[2], "x1");
  const auto at = [&](double value) { return zero + value * (one - zero); };
  const auto bars = elements(svg, "rect", "bar");
  ASSERT_EQ(bars.size(), 2U);
  EXPECT_NEAR(attribute(bars[0], "x"), zero, 0.051);
  EXPECT_NEAR(attribute(bars[0], "width"), 0.15 * (one - zero), 0.051);
  EXPECT_NEAR(attribute(bars[1], "width"), one - zero, 0.051);
  const auto whiskers = elements(svg, "line", "whisker");  // a line and two ends each
  ASSERT_EQ(whiskers.size(), 6U);
  EXPECT_NEAR(attribute(whiskers[0], "x1"), at(0.09), 0.051);
  EXPECT_NEAR(attribute(whiskers[0], "x2"), at(0.23), 0.051);
  EXPECT_NEAR(attribute(whiskers[3], "x1"), at(0.93), 0.051);
  EXPECT_NE(svg.find("<title>base: 15 % [9, 23]</title>"), std::string::npos);
  EXPECT_NE(svg.find(">100 % [93, 100]</text>"), std::string::npos);
}

TEST(DotRows, PositionsFollowTheAxisLabels) {
  const std::string svg = dot_rows(
      {{"a", "base", 6.8, 6.2, 7.3, "+6.8"}, {"b", "locked", -2.5, -2.7, -2.4, "-2.5"}}, 0, "nats", "label");
  // The labelled ticks give the scale: two of them fix it.
  std::vector<std::pair<double, double>> labelled;
  const std::regex tick("<text x=\"([-0-9.]+)\"[^>]*class=\"tick\">([-0-9.]+)</text>");
  for (std::sregex_iterator i(svg.begin(), svg.end(), tick), end; i != end; ++i)
    labelled.emplace_back(std::stod((*i)[2]), std::stod((*i)[1]));
  ASSERT_GE(labelled.size(), 2U);
  const auto [v0, x0] = labelled.front();
  const auto [v1, x1] = labelled.back();
  const double scale = (x1 - x0) / (v1 - v0), origin = x0 - v0 * scale;
  const auto dots = elements(svg, "circle", "dot");
  ASSERT_EQ(dots.size(), 2U);
  EXPECT_NEAR(attribute(dots[0], "cx"), origin + 6.8 * scale, 0.2);
  EXPECT_NEAR(attribute(dots[1], "cx"), origin - 2.5 * scale, 0.2);
  const auto zero = elements(svg, "line", "zero");
  ASSERT_EQ(zero.size(), 1U);
  EXPECT_NEAR(attribute(zero[0], "x1"), origin, 0.2);
}

TEST(HeatMap, EachCellStandsAndIsColouredByItsNumber) {
  HeatMap map{.layers = 3,
              .heads = 2,
              .values = {0.5, 0.6, 0.7, 0.8, 0.9, 1.0},
              .hovers = {"a", "b", "c", "d", "e", "f"},
              .marked = {{2, 1}},
              .from = 0.5,
              .to = 1,
              .scale_name = "accuracy",
              .label = "map"};
  const std::string svg = heat_map(map);
  const std::regex cell(
      "<rect x=\"([0-9.]+)\" y=\"([0-9.]+)\" [^>]*class=\"h([0-9]+)\"><title>([a-f])</title>");
  std::vector<std::smatch> cells;
  for (std::sregex_iterator i(svg.begin(), svg.end(), cell), end; i != end; ++i) cells.push_back(*i);
  ASSERT_EQ(cells.size(), 6U);
  const auto number = [&](size_t i, int group) { return std::stod(cells[i][group]); };
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(cells[i][4].str(), map.hovers[i]);
    EXPECT_NEAR(number(i, 3), std::min(23.0, std::floor((map.values[i] - 0.5) / 0.5 * 24 + 1e-9)), 1e-9);
    EXPECT_EQ(number(i, 1), number(i % 2, 1));      // a column a head
    EXPECT_EQ(number(i, 2), number(i - i % 2, 2));  // a row a layer
  }
  EXPECT_GT(number(1, 1), number(0, 1));
  EXPECT_GT(number(2, 2), number(0, 2));
  const auto marks = elements(svg, "rect", "mark");
  ASSERT_EQ(marks.size(), 2U);  // with its halo
  EXPECT_NEAR(attribute(marks[1], "x"), number(5, 1), 1);
  EXPECT_NEAR(attribute(marks[1], "y"), number(5, 2), 1);
}

TEST(HeatMap, LargeModelsKeepCellsThatCanBeHit) {
  HeatMap map{.layers = 80,
              .heads = 64,
              .values = std::vector<double>(5120, 0.7),
              .hovers = std::vector<std::string>(5120, "x"),
              .marked = {},
              .from = 0.5,
              .to = 1,
              .scale_name = "accuracy",
              .label = "map"};
  const std::string svg = heat_map(map);
  EXPECT_GE(attribute(elements(svg, "rect", "h")[0], "width"), 10);
  EXPECT_NE(svg.find("broad"), std::string::npos);
}

TEST(CurveChart, PointsLimitsAndNames) {
  CurveChart chart;
  chart.unlocked.y = 1;
  for (const int heads : {8, 12, 24, 36}) {
    Curve curve{.name = std::to_string(heads) + " heads", .points = {}};
    CurvePoint point;
    point.x = heads / 100.0;
    point.y = 0.05;
    point.hover = "h" + std::to_string(heads);
    point.chosen = heads == 12;
    curve.points.push_back(point);
    chart.curves.push_back(curve);
  }
  chart.x_limit = 0.2;
  chart.y_limit = 0.25;
  chart.x_axis = "x";
  chart.y_axis = "y";
  const std::string svg = curve_chart(chart);
  const auto limits = elements(svg, "line", "limit");
  ASSERT_EQ(limits.size(), 2U);
  const auto dots = elements(svg, "circle", "dot");
  ASSERT_EQ(dots.size(), 5U);
  const double x8 = attribute(dots[0], "cx"), x36 = attribute(dots[3], "cx"), x0 = attribute(dots[4], "cx");
  const double y0 = attribute(dots[4], "cy"), y8 = attribute(dots[0], "cy");
  EXPECT_NEAR((x36 - x0) / (x8 - x0), 36.0 / 8, 0.05);
  EXPECT_NEAR(attribute(limits[0], "x1"), x0 + 0.2 / 0.36 * (x36 - x0), 0.3);
  EXPECT_NEAR(attribute(limits[1], "y1"), y0 + (1 - 0.25) / (1 - 0.05) * (y8 - y0), 0.3);
  EXPECT_EQ(elements(svg, "circle", "dot locked").size(), 1U);
  EXPECT_NE(svg.find("<title>h12</title>"), std::string::npos);
  // All four curves end at one height; their names do not cover each other.
  std::vector<double> at;
  const std::regex name("<text x=\"[0-9.]+\" y=\"([0-9.]+)\"[^>]*>[0-9]+ heads</text>");
  for (std::sregex_iterator i(svg.begin(), svg.end(), name), end; i != end; ++i)
    at.push_back(std::stod((*i)[1]));
  ASSERT_EQ(at.size(), 4U);
  std::sort(at.begin(), at.end());
  for (size_t i = 1; i < at.size(); ++i) EXPECT_GE(at[i] - at[i - 1], 12);
}

TEST(DensityChart, HeightsAreInProportion) {
  Density density{.place = {3, 4},
                  .from = -1,
                  .to = 1,
                  .base = DensityPair{{0, 2, 0}, {1, 0.5, 0}},
                  .tuned = {},
                  .locked = DensityPair{{0, 0, 1}, {0, 1, 0}}};
  const std::string svg = density_chart(density);
  const std::regex path(
      "<path d=\"M[-0-9.]+ ([-0-9.]+)L[-0-9.]+ ([-0-9.]+)L[-0-9.]+ ([-0-9.]+)\" class=\"(un)?safe-line");
  std::vector<std::vector<double>> curves;
  for (std::sregex_iterator i(svg.begin(), svg.end(), path), end; i != end; ++i)
    curves.push_back({std::stod((*i)[1]), std::stod((*i)[2]), std::stod((*i)[3])});
  ASSERT_EQ(curves.size(), 4U);  // unsafe and safe of base, then of locked
  const double ground = curves[0][2], peak = ground - curves[1][1];
  EXPECT_GT(peak, 20);
  EXPECT_NEAR(ground - curves[0][0], peak / 2, 0.2);
  EXPECT_NEAR(ground - curves[0][1], peak / 4, 0.2);
  EXPECT_NEAR(curves[3][0] - curves[3][2], peak / 2, 0.2);  // one scale for all rows
  EXPECT_NE(svg.find("head 3.4"), std::string::npos);
  EXPECT_EQ(svg.find(">tuned<"), std::string::npos);
}

TEST(Histogram, CountsAndMarks) {
  const std::string svg = histogram({0.91, 0.91, 0.99, 1.0}, {0.95}, {0.9, 1.0}, "cosine", "label");
  const auto bars = elements(svg, "rect", "bar");
  ASSERT_EQ(bars.size(), 3U);  // 0.99 and 1.0 fall into bins of their own
  EXPECT_NEAR(attribute(bars[0], "height"), 2 * attribute(bars[1], "height"), 0.2);
  const double first = attribute(elements(svg, "line", "zero")[0], "x1");
  const double last = attribute(elements(svg, "line", "zero")[0], "x2");
  EXPECT_NEAR(attribute(elements(svg, "line", "rug")[0], "x1"), (first + last) / 2, 0.2);
}

// CIE L* by the standard's own formula, from the sRGB numbers.
double lightness(const std::string& hex) {
  const auto linear = [&](size_t at) {
    const double v = std::stoi(hex.substr(at, 2), nullptr, 16) / 255.0;
    return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
  };
  const double y = 0.2126 * linear(1) + 0.7152 * linear(3) + 0.0722 * linear(5);
  return y > 0.008856 ? 116 * std::cbrt(y) - 16 : 903.3 * y;
}

TEST(Palette, LightnessGoesInEvenSteps) {
  for (const Ground ground : {Ground::light, Ground::dark}) {
    const auto colours = heat_colours(ground);
    const double direction = ground == Ground::light ? -1 : 1;
    const double whole = (lightness(colours.back()) - lightness(colours.front())) * direction;
    EXPECT_GT(whole, 65);
    for (size_t i = 1; i < colours.size(); ++i) {
      const double step = (lightness(colours[i]) - lightness(colours[i - 1])) * direction;
      EXPECT_GT(step, 0.5 * whole / (kHeatSteps - 1)) << i;
      EXPECT_LT(step, 1.7 * whole / (kHeatSteps - 1)) << i;
    }
  }
  EXPECT_EQ(heat_step(0.5, 0.5, 1), 0);
  EXPECT_EQ(heat_step(1, 0.5, 1), kHeatSteps - 1);
  EXPECT_EQ(heat_step(-5, 0.5, 1), 0);
}

}  // namespace
}  // namespace safetylock::report
