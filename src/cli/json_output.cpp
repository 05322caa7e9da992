#include "cli/json_output.h"

namespace safetylock::cli {

std::string json_text(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string json_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json to_json(const Rate& rate) {
  return {
      {"count", rate.count}, {"n", rate.n}, {"value", rate.value}, {"low", rate.low}, {"high", rate.high}};
}

Json to_json(const Mean& mean) {
  return {{"n", mean.n}, {"value", mean.value}, {"low", mean.low}, {"high", mean.high}};
}

Json to_json(const McNemar& test) {
  return {{"unlocked_only", test.unlocked_only},
          {"locked_only", test.locked_only},
          {"p", test.p},
          {"test", "exact"}};
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

Json to_json(const std::optional<GateReading>& reading) {
  if (!reading) return nullptr;
  return {{"opened", reading->opened()},
          {"share", reading->share},
          {"score", reading->readable ? Json(reading->score) : Json(nullptr)},
          {"probability", reading->readable ? Json(reading->probability()) : Json(nullptr)},
          {"readable", reading->readable},
          {"reply_score", or_null(reading->reply_score)},
          {"reply_tokens", reading->reply_tokens}};
}

namespace {

Json judge_json(const Evaluation& e) {
  if (e.judge_score.n == 0 && e.judge_unreadable == 0) return nullptr;
  return {{"score", to_json(e.judge_score)},
          {"harmful", to_json(e.judged_harmful)},
          {"unreadable", e.judge_unreadable}};
}

}  // namespace

Json to_json(const Evaluation& e) {
  Json results = Json::array();
  for (const PromptResult& r : e.results) {
    results.push_back({{"prompt", r.prompt},
                       {"reply", r.reply},
                       {"outcome", e.answered.n == 0 ? Json(nullptr) : Json(to_string(r.outcome))},
                       {"refusal_margin", or_null(r.refusal_margin)},
                       {"refuses_first", r.refuses_first},
                       {"tokens", or_null(r.tokens)},
                       {"finish_reason", text_or_null(r.finish_reason)},
                       {"distinct_2", r.distinct_2},
                       {"base_perplexity", or_null(r.base_perplexity)},
                       {"judge_score", or_null(r.judge_score)},
                       {"gate", to_json(r.gate)}});
  }
  return {{"answered", to_json(e.answered)},
          {"refused", to_json(e.refused)},
          {"degenerate", to_json(e.degenerate)},
          {"refuses_first", to_json(e.refuses_first)},
          {"refusal_margin", to_json(e.refusal_margin)},
          {"judge", judge_json(e)},
          {"base_perplexity", e.base_perplexity.n == 0 ? Json(nullptr) : to_json(e.base_perplexity)},
          {"distinct_2", to_json(e.distinct_2)},
          {"early_end", to_json(e.early_end)},
          {"gate_opened", e.opened.n == 0 ? Json(nullptr) : to_json(e.opened)},
          {"seconds", e.seconds},
          {"results", std::move(results)}};
}

}  // namespace safetylock::cli
