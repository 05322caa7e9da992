// Charts of one row a model or head: a value, its interval, its words.
#include <algorithm>

#include "report/charts.h"
#include "report/number_text.h"

namespace safetylock::report {
namespace {

constexpr double kRowHeight = 26, kBarHeight = 14, kTop = 4, kAxisHeight = 36;
constexpr double kLabelWidth = 64, kGap = 10;
constexpr double kCapHeight = 8;

struct Frame {
  double left, right, bottom, height;
};

// What the words on the right leave is the axis's.
Frame frame_of(const std::vector<ChartRow>& rows) {
  double words = 0;
  for (const ChartRow& row : rows) words = std::max(words, text_width(row.text));
  const double bottom = kTop + kRowHeight * static_cast<double>(rows.size());
  return {kLabelWidth, kChartWidth - words - kGap, bottom, bottom + kAxisHeight};
}

void draw_axis(Svg& svg, const Frame& frame, const Scale& x, const std::vector<double>& at,
               const std::vector<std::string>& labels, const std::string& title) {
  for (size_t i = 0; i < at.size(); ++i) {
    svg.line({x(at[i]), kTop}, {x(at[i]), frame.bottom}, "grid");
    svg.text({x(at[i]), frame.bottom + 14}, Anchor::middle, "tick", labels[i]);
  }
  svg.text({(frame.left + frame.right) / 2, frame.bottom + 30}, Anchor::middle, "axis", title);
}

// With a halo, to be seen on a bar too.
void draw_whisker(Svg& svg, const Scale& x, double y, const ChartRow& row) {
  svg.line({x(row.low) - 1, y}, {x(row.high) + 1, y}, "halo");
  svg.line({x(row.low), y}, {x(row.high), y}, "whisker");
  for (const double end : {row.low, row.high})
    svg.line({x(end), y - kCapHeight / 2}, {x(end), y + kCapHeight / 2}, "whisker");
}

void draw_words(Svg& svg, const Frame& frame, double y, const ChartRow& row) {
  svg.text({kLabelWidth - 8, y + 4}, Anchor::end, "label", row.label);
  svg.text({frame.right + kGap, y + 4}, Anchor::start, "value", row.text);
}

double row_middle(size_t i) {
  return kTop + kRowHeight * (static_cast<double>(i) + 0.5);
}

}  // namespace

std::string share_bars(const std::vector<ChartRow>& rows, const std::string& axis, const std::string& label) {
  const Frame frame = frame_of(rows);
  Svg svg(kChartWidth, frame.height, label);
  const Scale x{.from = 0, .to = 1, .first = frame.left, .last = frame.right};
  draw_axis(svg, frame, x, {0, 0.5, 1}, {"0", "50", "100 %"}, axis);
  for (size_t i = 0; i < rows.size(); ++i) {
    const double y = row_middle(i);
    svg.rect({frame.left, y - kBarHeight / 2}, x(rows[i].value) - frame.left, kBarHeight,
             "bar " + rows[i].css_class, rows[i].label + ": " + rows[i].text);
    draw_whisker(svg, x, y, rows[i]);
    draw_words(svg, frame, y, rows[i]);
  }
  svg.line({frame.left, kTop}, {frame.left, frame.bottom}, "zero");
  return svg.str();
}

std::string dot_rows(const std::vector<ChartRow>& rows, std::optional<double> reference,
                     const std::string& axis, const std::string& label, std::optional<Domain> also) {
  const Frame frame = frame_of(rows);
  Svg svg(kChartWidth, frame.height, label);
  double low = reference.value_or(rows.front().low), high = low;
  if (also) {
    low = std::min(low, also->from);
    high = std::max(high, also->to);
  }
  for (const ChartRow& row : rows) {
    low = std::min({low, row.low, row.value});
    high = std::max({high, row.high, row.value});
  }
  constexpr int kTicks = 3;
  const Domain domain = nice_domain(low, high, kTicks);
  const Scale x{.from = domain.from, .to = domain.to, .first = frame.left, .last = frame.right};
  const std::vector<double> at = ticks(domain.from, domain.to, kTicks);
  std::vector<std::string> labels;
  for (const double value : at) labels.push_back(tick_text(value, at));
  draw_axis(svg, frame, x, at, labels, axis);
  if (reference) svg.line({x(*reference), kTop}, {x(*reference), frame.bottom}, "zero");
  for (size_t i = 0; i < rows.size(); ++i) {
    const double y = row_middle(i);
    draw_whisker(svg, x, y, rows[i]);
    svg.circle({x(rows[i].value), y}, 4.5, "dot " + rows[i].css_class, rows[i].label + ": " + rows[i].text);
    draw_words(svg, frame, y, rows[i]);
  }
  return svg.str();
}

}  // namespace safetylock::report
