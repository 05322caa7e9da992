#include "report/number_text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace safetylock::report {
namespace {

// Beyond this a number is not written out digit by digit.
constexpr double kLongest = 1e15;

std::string to_text(double value, std::chars_format format, int precision) {
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format, precision).ptr;
  return {buffer.data(), end};
}

bool is_zero(const std::string& digits) {
  return digits.find_first_of("123456789") == std::string::npos;
}

}  // namespace

std::string fixed(double value, int decimals) {
  if (std::abs(value) >= kLongest) return to_text(value, std::chars_format::scientific, 3);
  std::string text = to_text(value, std::chars_format::fixed, decimals);
  if (text.front() == '-' && is_zero(text)) text.erase(0, 1);
  return text;
}

std::string with_sign(double value, int decimals) {
  std::string text = fixed(value, decimals);
  return text.front() == '-' || is_zero(text) ? text : "+" + text;
}

std::string shortest(double value) {
  std::array<char, 64> buffer{};
  return {buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr};
}

std::string position(double pixels) {
  std::string text = fixed(pixels, 1);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

std::string grouped(std::int64_t value) {
  std::string text = std::to_string(value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t i = text.size(); i > first + 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

std::string counted(std::int64_t n, const std::string& noun) {
  return grouped(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string duration(double seconds) {
  if (seconds < 0.9995) return fixed(1000 * seconds, seconds < 0.1 ? 1 : 0) + " ms";
  if (seconds < 59.95) return fixed(seconds, 1) + " s";
  if (seconds >= kLongest) return fixed(seconds, 0) + " s";
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return grouped(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

std::string percent(double share) {
  std::string text = fixed(100 * share, 0);
  if ((text == "0" && share > 0) || (text == "100" && share < 1)) text = fixed(100 * share, 1);
  if (text == "0.0" && share > 0) text = "< 0.1";
  if (text == "100.0" && share < 1) text = "> 99.9";
  return text + " %";
}

std::string percent(const Rate& rate) {
  return rate.n == 0 ? "not measured" : percent(rate.value);
}

std::string with_interval(const Rate& rate) {
  if (rate.n == 0) return "not measured";
  return percent(rate.value) + " [" + fixed(100 * rate.low, 0) + ", " + fixed(100 * rate.high, 0) + "]";
}

std::string with_interval(const Mean& mean, int decimals, bool sign) {
  const auto text = [&](double value) { return sign ? with_sign(value, decimals) : fixed(value, decimals); };
  return text(mean.value) + " [" + text(mean.low) + ", " + text(mean.high) + "]";
}

std::string counts(const Rate& rate) {
  return std::to_string(rate.count) + "/" + std::to_string(rate.n);
}

}  // namespace safetylock::report
