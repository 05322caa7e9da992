#include <algorithm>
#include <cmath>

#include "report/charts.h"
#include "report/number_text.h"
#include "report/palette.h"

namespace safetylock::report {
namespace {

constexpr double kLeft = 40, kTop = 34, kRight = 8, kBottom = 62;
constexpr double kWidest = kChartWidth - kLeft - kRight;

struct Cells {
  double width, height;
};

// As large as fits a phone, but never too small to be hit; large models get wide maps instead.
Cells cell_size(const HeatMap& map) {
  const double width = std::clamp(std::floor(kWidest / static_cast<double>(map.heads)), 12.0, 24.0);
  return {width, std::clamp(width * 0.72, 10.0, 16.0)};
}

// Every how many cells a number stands, so that numbers do not touch.
std::int64_t label_step(double cell, double needed) {
  for (const std::int64_t step : {1, 2, 4, 8, 16})
    if (cell * static_cast<double>(step) >= needed) return step;
  return 32;
}

void draw_labels(Svg& svg, const HeatMap& map, const Cells& cell) {
  const double width = cell.width * static_cast<double>(map.heads);
  const double height = cell.height * static_cast<double>(map.layers);
  const std::int64_t across = label_step(cell.width, 22), down = label_step(cell.height, 28);
  for (std::int64_t head = 0; head < map.heads; head += across)
    svg.text({kLeft + cell.width * (static_cast<double>(head) + 0.5), kTop - 6}, Anchor::middle, "tick",
             std::to_string(head));
  for (std::int64_t layer = 0; layer < map.layers; layer += down)
    svg.text({kLeft - 6, kTop + cell.height * (static_cast<double>(layer) + 0.5) + 4}, Anchor::end, "tick",
             std::to_string(layer));
  svg.text({kLeft + width / 2, 12}, Anchor::middle, "axis", "head");
  svg.vertical_text({12, kTop + height / 2}, "axis", "layer");
}

void draw_scale(Svg& svg, const HeatMap& map, double top) {
  const double step = std::floor(kWidest / kHeatSteps);
  const double width = step * kHeatSteps;
  for (int i = 0; i < kHeatSteps; ++i) svg.rect({kLeft + step * i, top}, step, 10, "h" + std::to_string(i));
  const std::vector<double> ends = {map.from, (map.from + map.to) / 2, map.to};
  const std::vector<Anchor> anchors = {Anchor::start, Anchor::middle, Anchor::end};
  for (size_t i = 0; i < ends.size(); ++i)
    svg.text({kLeft + width * static_cast<double>(i) / 2, top + 23}, anchors[i], "tick",
             tick_text(ends[i], ends));
  svg.text({kLeft + width / 2, top + 38}, Anchor::middle, "axis", map.scale_name);
}

}  // namespace

std::string heat_map(const HeatMap& map) {
  const Cells cell = cell_size(map);
  const double width = cell.width * static_cast<double>(map.heads);
  const double height = cell.height * static_cast<double>(map.layers);
  Svg svg(std::max(kChartWidth, kLeft + width + kRight), kTop + height + kBottom, map.label);
  draw_labels(svg, map, cell);
  const auto corner = [&](std::int64_t layer, std::int64_t head) {
    return Point{kLeft + cell.width * static_cast<double>(head),
                 kTop + cell.height * static_cast<double>(layer)};
  };
  for (std::int64_t layer = 0; layer < map.layers; ++layer) {
    for (std::int64_t head = 0; head < map.heads; ++head) {
      const auto i = static_cast<size_t>(layer * map.heads + head);
      svg.rect(corner(layer, head), cell.width - 1, cell.height - 1,
               "h" + std::to_string(heat_step(map.values[i], map.from, map.to)), map.hovers[i]);
    }
  }
  // On top, so that no neighbour covers an outline; they let the pointer through to the cell below.
  for (const HeadPlace& place : map.marked) {
    const Point at = corner(place.layer, place.head);
    svg.rect({at.x - 0.5, at.y - 0.5}, cell.width, cell.height, "mark-halo");
    svg.rect({at.x - 0.5, at.y - 0.5}, cell.width, cell.height, "mark");
  }
  draw_scale(svg, map, kTop + height + 16);
  return svg.str(kLeft + width + kRight > kChartWidth ? "chart heat broad" : "chart heat");
}

}  // namespace safetylock::report
