#include "safetylock/gate.h"

#include <algorithm>
#include <cmath>
#include <locale>
#include <sstream>

#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr double kMaxRamp = 100;

void check_number(const char* where, bool valid, const char* expected, double found) {
  if (valid) return;
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << found;
  throw Error({"arg.gate", "", where, expected, text.str(), ""});
}

}  // namespace

const char* to_string(GatePosition position) noexcept {
  switch (position) {
    case GatePosition::last_token:
      return "last_token";
    case GatePosition::template_tail:
      return "template_tail";
    case GatePosition::message:
      return "message";
    case GatePosition::message_end:
      return "message_end";
    case GatePosition::reply:
      return "reply";
  }
  return "unknown";
}

double log_odds(double probability) {
  return std::log(probability) - std::log1p(-probability);
}

double probability_of(double log_odds) {
  return log_odds >= 0 ? 1 / (1 + std::exp(-log_odds)) : std::exp(log_odds) / (1 + std::exp(log_odds));
}

GateReading read_score(double score, const GateRule& rule) {
  if (!std::isfinite(score)) return {.score = score, .share = 1, .readable = false};
  const double above = score - log_odds(rule.threshold);
  if (above >= 0) return {.score = score, .share = 1};
  return {.score = score, .share = rule.ramp > 0 ? std::clamp(1 + above / rule.ramp, 0.0, 1.0) : 0.0};
}

void check_rule(const GateRule& rule) {
  check_number("gate: threshold", rule.threshold > 0 && rule.threshold < 1,
               "a probability above 0 and below 1", rule.threshold);
  check_number("gate: ramp", rule.ramp >= 0 && rule.ramp <= kMaxRamp, "0 (on or off) to 100, in log-odds",
               rule.ramp);
}

}  // namespace safetylock
