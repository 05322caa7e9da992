// The heat map's colours: one hue, even steps of perceived lightness (Oklab), so that they can be told apart
// without seeing colours and in print. On a light page more is darker, on a dark page more is lighter.
#pragma once

#include <array>
#include <string>

namespace safetylock::report {

inline constexpr int kHeatSteps = 24;

enum class Ground { light, dark };

/// "#rrggbb" of each step, least first.
std::array<std::string, kHeatSteps> heat_colours(Ground ground);

/// The step of `value` in [from, to], clamped.
int heat_step(double value, double from, double to);

}  // namespace safetylock::report
