// Small result files as JSON, to be changed by tests.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/read_results.h"

namespace safetylock::report::test {

/// The Wilson interval by its textbook formula.
inline Json rate(int count, int n) {
  if (n == 0) return {{"count", 0}, {"n", 0}, {"value", 0.0}, {"low", 0.0}, {"high", 1.0}};
  const double z = 1.959963984540054, p = double(count) / n;
  const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4.0 * n * n));
  return {{"count", count},
          {"n", n},
          {"value", p},
          {"low", std::max(0.0, std::min(p, middle - half))},
          {"high", std::min(1.0, std::max(p, middle + half))}};
}

inline Json mean(double value, int n = 10) {
  return {{"n", n}, {"value", value}, {"low", value - 0.5}, {"high", value + 0.5}};
}

/// Replies of these outcomes, in this order, each with the margin.
inline Json prompt_set(int answered, int refused, int degenerate, double margin = 1.0) {
  const int n = answered + refused + degenerate;
  Json results = Json::array();
  for (int i = 0; i < n; ++i) {
    const char* outcome = i < answered ? "answered" : i < answered + refused ? "refused" : "degenerate";
    results.push_back({{"prompt", "prompt " + std::to_string(i)},
                       {"reply", std::string("a reply, ") + outcome},
                       {"outcome", outcome},
                       {"refusal_margin", margin},
                       {"refuses_first", i >= answered}});
  }
  return {{"answered", rate(answered, n)},
          {"refused", rate(refused, n)},
          {"degenerate", rate(degenerate, n)},
          {"refuses_first", rate(refused, n)},
          {"refusal_margin", {{"n", n}, {"value", margin}, {"low", margin - 0.25}, {"high", margin + 0.25}}},
          {"judge", nullptr},
          {"results", std::move(results)}};
}

inline Json run(Json harmful, Json benign) {
  return {{"sets", {{"harmful", std::move(harmful)}, {"benign", std::move(benign)}}},
          {"utility", nullptr},
          {"seconds", 20.0},
          {"tokens_generated", 500}};
}

inline Json evaluation(Json unlocked, Json locked) {
  return {{"schema", "safetylock.evaluate/2"},
          {"model", "models/tuned"},
          {"adapter", nullptr},
          {"endpoint", nullptr},
          {"lock", {{"path", "base.lock.safetensors"}, {"digest", "d1"}, {"alpha", 6.0}, {"heads", 2}}},
          {"settings", {{"seed", 0}, {"max_new_tokens", 48}}},
          {"runs", {{"unlocked", std::move(unlocked)}, {"locked", std::move(locked)}}},
          {"comparison", nullptr},
          {"seconds", 40.0},
          {"apply_seconds", 0.002}};
}

/// 90 of 100 harmful prompts answered without the lock, 10 with it; benign refusals 0 and 20 of 50.
inline Json evaluation() {
  return evaluation(run(prompt_set(90, 10, 0, -2.0), prompt_set(50, 0, 0, -4.0)),
                    run(prompt_set(10, 90, 0, 1.5), prompt_set(30, 20, 0, -1.0)));
}

/// 3 layers x 2 heads; accuracy 0.5 + (2 layer + head) / 10.
inline Json extraction() {
  Json ranking = Json::array();
  for (int i = 5; i >= 0; --i)
    ranking.push_back({{"layer", i / 2},
                       {"head", i % 2},
                       {"accuracy", 0.5 + i / 10.0},
                       {"ci_low", 0.45 + i / 10.0},
                       {"ci_high", std::min(1.0, 0.55 + i / 10.0)},
                       {"auc", 0.5 + i / 10.0},
                       {"train_accuracy", 0.9}});
  return {{"schema", "safetylock.extract/2"},
          {"lock", "base.lock.safetensors"},
          {"lock_digest", "d1"},
          {"model", "models/base"},
          {"alpha", 6.0},
          {"pairs_per_second", 2.5},
          {"seconds", {{"collect", 10.0}, {"total", 12.0}}},
          {"layers", 3},
          {"heads_per_layer", 2},
          {"ranking", ranking},
          {"heads", Json::array({ranking[0], ranking[2]})}};
}

inline Json cell(int heads, double alpha, Json harmful, Json benign, bool meets) {
  return {{"heads", heads},
          {"share_of_heads", heads / 6.0},
          {"alpha", alpha},
          {"alpha_gap", nullptr},
          {"harmful", std::move(harmful)},
          {"benign", std::move(benign)},
          {"kl", nullptr},
          {"meets", meets}};
}

inline Json sweep() {
  Json chosen = cell(2, 8, prompt_set(1, 8, 1), prompt_set(2, 2, 0), true);
  chosen["lookalikes"] = prompt_set(3, 1, 0);
  return {{"schema", "safetylock.sweep/2"},
          {"model", "models/tuned"},
          {"lock", {{"path", "wide.lock.safetensors"}, {"digest", "d2"}}},
          {"units", "sigma"},
          {"limits", {{"max_answered", 0.25}, {"max_over_refusal", 0.5}, {"max_kl", nullptr}}},
          {"unlocked", cell(0, 0, prompt_set(10, 0, 0), prompt_set(4, 0, 0), false)},
          {"cells",
           Json::array({cell(2, 4, prompt_set(5, 5, 0), prompt_set(3, 1, 0), false), std::move(chosen)})},
          {"chosen", 1},
          {"written", nullptr}};
}

inline Json transfer() {
  const Json spread = {{"mean", 0.9},  {"sd", 0.05}, {"low", 0.85},
                       {"high", 0.95}, {"min", 0.7}, {"max", 0.99}};
  const Json group = {{"cosine", spread}, {"sigma_ratio", spread}, {"kl", spread}};
  Json heads = Json::array();
  for (int i = 0; i < 6; ++i)
    heads.push_back({{"layer", i / 2},
                     {"head", i % 2},
                     {"locked", i == 5 || i == 3},
                     {"rank", nullptr},
                     {"cosine", 0.8 + i / 50.0},
                     {"cosine_low", 0.7},
                     {"cosine_high", 0.95},
                     {"sigma_ratio", 1.0},
                     {"kl", 0.1}});
  const Json curve = {{"safe", {0.0, 1.0, 0.0}}, {"unsafe", {0.5, 0.25, 0.0}}};
  return {{"schema", "safetylock.transfer/1"},
          {"base", "models/base"},
          {"tuned", "models/tuned"},
          {"adapter", nullptr},
          {"lock", {{"path", "base.lock.safetensors"}, {"digest", "d1"}, {"alpha", 6.0}, {"heads", 2}}},
          {"layers", 3},
          {"heads_per_layer", 2},
          {"heads", heads},
          {"summary", {{"locked", group}, {"all", group}}},
          {"densities", Json::array({{{"layer", 2},
                                      {"head", 1},
                                      {"from", -1.0},
                                      {"to", 1.0},
                                      {"base", curve},
                                      {"tuned", curve},
                                      {"locked", curve}}})},
          {"thresholds", {{"pass", 0.9}}},
          {"verdict", "warn"},
          {"reasons", Json::array({"the spread is large"})},
          {"seconds", 30.0}};
}

inline ResultFile read(const Json& json, const std::string& name = "f.json") {
  return parse_result(json.dump(), name, name);
}

}  // namespace safetylock::report::test
