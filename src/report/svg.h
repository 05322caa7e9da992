// Inline SVG: a canvas in CSS pixels, scales and ticks. Colours are classes of the page's style sheet
// (page_style.h), so that light, dark and print each have their own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace safetylock::report {

enum class Anchor { start, middle, end };

struct Point {
  double x = 0, y = 0;
};

class Svg {
 public:
  /// `label` is plain text that says what the picture shows, for those who cannot see it.
  Svg(double width, double height, std::string_view label);

  /// `label` is plain text and is escaped.
  void text(Point at, Anchor anchor, std::string_view css_class, std::string_view label);
  void vertical_text(Point at, std::string_view css_class, std::string_view label);
  void line(Point from, Point to, std::string_view css_class);
  /// `hover` is shown when the pointer rests on it; empty: none. The same below.
  void rect(Point corner, double width, double height, std::string_view css_class,
            std::string_view hover = {});
  void circle(Point centre, double radius, std::string_view css_class, std::string_view hover = {});
  void polyline(const std::vector<Point>& points, std::string_view css_class);
  void area(const std::vector<Point>& points, std::string_view css_class);

  /// The finished element. `extra_class` says how the page may scale it.
  std::string str(std::string_view extra_class = "chart") const;

 private:
  void path(const std::vector<Point>& points, std::string_view css_class, bool closed);

  double width_, height_;
  std::string label_;
  std::string body_;
};

/// Values in [from, to] to pixels in [first, last].
struct Scale {
  double from = 0, to = 1;
  double first = 0, last = 1;
  double operator()(double value) const { return first + (value - from) / (to - from) * (last - first); }
};

/// Round numbers (1, 2 or 5 times a power of ten apart), about `wanted` of them, that lie in [from, to].
std::vector<double> ticks(double from, double to, int wanted);

/// [low, high] made wider so that both ends are ticks; never empty.
struct Domain {
  double from = 0, to = 1;
};
Domain nice_domain(double low, double high, int wanted);

/// How wide a text in the charts' font may be, in pixels, whatever sans serif the reader has.
double text_width(std::string_view text);

/// As few decimals as tell `all` apart.
std::string tick_text(double value, const std::vector<double>& all);

}  // namespace safetylock::report
