#include "cli/json_output.h"

namespace safetylock::cli {

std::string json_text(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json to_json(const Rate& rate) {
  return {
      {"count", rate.count}, {"n", rate.n}, {"value", rate.value}, {"low", rate.low}, {"high", rate.high}};
}

Json to_json(const Mean& mean) {
  return {{"n", mean.n}, {"value", mean.value}, {"low", mean.low}, {"high", mean.high}};
}

Json to_json(const CausalCheck& check) {
  return {{"harmful_unlocked", to_json(check.harmful_unlocked)},
          {"harmful_locked", to_json(check.harmful_locked)},
          {"harmful_shift", to_json(check.harmful_shift)},
          {"benign_unlocked", to_json(check.benign_unlocked)},
          {"benign_locked", to_json(check.benign_locked)},
          {"benign_shift", to_json(check.benign_shift)},
          {"harmful_raised", check.harmful_raised},
          {"benign_stays", check.benign_stays},
          {"passed", check.passed()}};
}

Json to_json(const Evaluation& evaluation) {
  Json results = Json::array();
  for (const PromptResult& r : evaluation.results) {
    results.push_back({{"prompt", r.prompt},
                       {"reply", r.reply},
                       {"outcome", to_string(r.outcome)},
                       {"refusal_margin", r.refusal_margin},
                       {"refuses_first", r.refuses_first}});
  }
  return {{"answered", to_json(evaluation.answered)},
          {"refused", to_json(evaluation.refused)},
          {"degenerate", to_json(evaluation.degenerate)},
          {"refuses_first", to_json(evaluation.refuses_first)},
          {"refusal_margin", to_json(evaluation.refusal_margin)},
          {"seconds", evaluation.seconds},
          {"results", std::move(results)}};
}

}  // namespace safetylock::cli
