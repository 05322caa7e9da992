#include "report/palette.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>

namespace safetylock::report {
namespace {

// Lightness, chroma and hue in degrees: https://bottosson.github.io/posts/oklab
struct Oklch {
  double l, c, h;
};

struct Ramp {
  Oklch least, most;
  double bulge;  // chroma added half-way
};

constexpr Ramp kOnLight{{0.965, 0.010, 240}, {0.300, 0.085, 262}, 0.055};
constexpr Ramp kOnDark{{0.235, 0.025, 262}, {0.930, 0.035, 225}, 0.070};

double to_srgb(double linear) {
  const double v = std::clamp(linear, 0.0, 1.0);
  return v <= 0.0031308 ? 12.92 * v : 1.055 * std::pow(v, 1 / 2.4) - 0.055;
}

std::string hex(const Oklch& colour) {
  const double radians = colour.h * std::numbers::pi / 180;
  const double a = colour.c * std::cos(radians), b = colour.c * std::sin(radians);
  const auto cubed = [](double v) { return v * v * v; };
  const double l = cubed(colour.l + 0.3963377774 * a + 0.2158037573 * b);
  const double m = cubed(colour.l - 0.1055613458 * a - 0.0638541728 * b);
  const double s = cubed(colour.l - 0.0894841775 * a - 1.2914855480 * b);
  const std::array linear = {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
                             -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
                             -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "#%02x%02x%02x",
                static_cast<unsigned>(std::lround(255 * to_srgb(linear[0]))) & 0xFFU,
                static_cast<unsigned>(std::lround(255 * to_srgb(linear[1]))) & 0xFFU,
                static_cast<unsigned>(std::lround(255 * to_srgb(linear[2]))) & 0xFFU);
  return text.data();
}

}  // namespace

std::array<std::string, kHeatSteps> heat_colours(Ground ground) {
  const Ramp& ramp = ground == Ground::light ? kOnLight : kOnDark;
  std::array<std::string, kHeatSteps> colours;
  for (size_t i = 0; i < colours.size(); ++i) {
    const double t = static_cast<double>(i) / (kHeatSteps - 1);
    const auto mix = [&](double from, double to) { return from + t * (to - from); };
    colours[i] = hex({.l = mix(ramp.least.l, ramp.most.l),
                      .c = mix(ramp.least.c, ramp.most.c) + ramp.bulge * 4 * t * (1 - t),
                      .h = mix(ramp.least.h, ramp.most.h)});
  }
  return colours;
}

int heat_step(double value, double from, double to) {
  const double share = (value - from) / (to - from);
  return std::clamp(static_cast<int>(std::floor(share * kHeatSteps)), 0, kHeatSteps - 1);
}

}  // namespace safetylock::report
