#include "report/svg.h"

#include <algorithm>
#include <cmath>

#include "report/markup.h"
#include "report/number_text.h"

namespace safetylock::report {
namespace {

std::string attribute(std::string_view name, double pixels) {
  return " " + std::string(name) + "=\"" + position(pixels) + "\"";
}

std::string class_attribute(std::string_view css_class) {
  return " class=\"" + std::string(css_class) + "\"";
}

// The shape's end: with a hover text it has a child.
std::string closed_with(std::string_view hover, std::string_view name) {
  if (hover.empty()) return "/>";
  return "><title>" + escaped(hover) + "</title></" + std::string(name) + ">";
}

const char* anchor_text(Anchor anchor) {
  switch (anchor) {
    case Anchor::start:
      return "";
    case Anchor::middle:
      return " text-anchor=\"middle\"";
    case Anchor::end:
      return " text-anchor=\"end\"";
  }
  return "";
}

double nice_step(double from, double to, int wanted) {
  const double rough = (to - from) / std::max(1, wanted);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough * 0.9999) return factor * power;
  return 10 * power;
}

}  // namespace

Svg::Svg(double width, double height, std::string_view label)
    : width_(width), height_(height), label_(escaped(label)) {}

void Svg::text(Point at, Anchor anchor, std::string_view css_class, std::string_view label) {
  body_ += "<text" + attribute("x", at.x) + attribute("y", at.y) + anchor_text(anchor) +
           class_attribute(css_class) + ">" + escaped(label) + "</text>";
}

void Svg::vertical_text(Point at, std::string_view css_class, std::string_view label) {
  body_ += "<text transform=\"translate(" + position(at.x) + " " + position(at.y) +
           ") rotate(-90)\" text-anchor=\"middle\"" + class_attribute(css_class) + ">" + escaped(label) +
           "</text>";
}

void Svg::line(Point from, Point to, std::string_view css_class) {
  body_ += "<line" + attribute("x1", from.x) + attribute("y1", from.y) + attribute("x2", to.x) +
           attribute("y2", to.y) + class_attribute(css_class) + "/>";
}

void Svg::rect(Point corner, double width, double height, std::string_view css_class,
               std::string_view hover) {
  body_ += "<rect" + attribute("x", corner.x) + attribute("y", corner.y) + attribute("width", width) +
           attribute("height", height) + class_attribute(css_class) + closed_with(hover, "rect");
}

void Svg::circle(Point centre, double radius, std::string_view css_class, std::string_view hover) {
  body_ += "<circle" + attribute("cx", centre.x) + attribute("cy", centre.y) + attribute("r", radius) +
           class_attribute(css_class) + closed_with(hover, "circle");
}

void Svg::polyline(const std::vector<Point>& points, std::string_view css_class) {
  path(points, css_class, false);
}

void Svg::area(const std::vector<Point>& points, std::string_view css_class) {
  path(points, css_class, true);
}

void Svg::path(const std::vector<Point>& points, std::string_view css_class, bool closed) {
  std::string d;
  for (const Point& p : points) d += (d.empty() ? "M" : "L") + position(p.x) + " " + position(p.y);
  body_ += "<path d=\"" + d + (closed ? "Z" : "") + "\"" + class_attribute(css_class) + "/>";
}

std::string Svg::str(std::string_view extra_class) const {
  return "<svg" + class_attribute(extra_class) + " role=\"img\" aria-label=\"" + label_ + "\" width=\"" +
         position(width_) + "\" height=\"" + position(height_) + "\" viewBox=\"0 0 " + position(width_) +
         " " + position(height_) + "\">" + body_ + "</svg>";
}

std::vector<double> ticks(double from, double to, int wanted) {
  const double step = nice_step(from, to, wanted);
  std::vector<double> values;
  const double slack = 1e-9 * step;
  const double first = std::ceil((from - slack) / step);
  for (double i = first; i * step <= to + slack && values.size() < 100; ++i) values.push_back(i * step);
  return values;
}

Domain nice_domain(double low, double high, int wanted) {
  // A step can be told from nothing only when the ends differ by more than rounding does.
  const double least = 1e-6 * std::max({std::abs(low), std::abs(high), 1e-3});
  if (high - low < least) {
    low -= least;
    high += least;
  }
  const double step = nice_step(low, high, wanted);
  return {std::floor(low / step + 1e-9) * step, std::ceil(high / step - 1e-9) * step};
}

double text_width(std::string_view text) {
  constexpr double kWidestDigit = 7.0;  // DejaVu Sans, 12 pixels high, with room to spare
  double width = 0;
  for (const char c : text) {
    const bool narrow = c == ' ' || c == '.' || c == ',' || c == '[' || c == ']' || c == 'l' || c == 'i';
    const bool follows = (static_cast<unsigned char>(c) & 0xC0) == 0x80;  // within a character
    width += follows ? 0 : narrow ? 4.6 : kWidestDigit + (c == '%' || c == '+' ? 3.5 : c == '-' ? -1 : 0.7);
  }
  return width;
}

std::string tick_text(double value, const std::vector<double>& all) {
  int decimals = 0;
  const auto whole = [&] {
    const double power = std::pow(10.0, decimals);
    return std::all_of(all.begin(), all.end(),
                       [&](double v) { return std::abs(v * power - std::round(v * power)) < 1e-6; });
  };
  while (decimals < 6 && !whole()) ++decimals;
  return fixed(value, decimals);
}

}  // namespace safetylock::report
