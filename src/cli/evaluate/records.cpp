#include "cli/evaluate/records.h"

#include <limits>

#include "cli/json_output.h"

namespace safetylock::cli {
namespace {

/// A score that is not finite is kept as null.
std::optional<GateReading> gate_reading(const Json& record) {
  if (record.is_null()) return std::nullopt;
  const std::optional<double> score = optional_value<double>(record.at("score"));
  return GateReading{.score = score.value_or(std::numeric_limits<double>::quiet_NaN()),
                     .share = record.at("share").get<double>(),
                     .readable = score.has_value(),
                     .reply_tokens = record.at("reply_tokens").get<std::int64_t>(),
                     .reply_score = optional_value<double>(record.at("reply_score"))};
}

}  // namespace

Json to_record(const PromptResult& r) {
  return {{"reply", r.reply},
          {"refusal_margin", or_null(r.refusal_margin)},
          {"refuses_first", r.refuses_first},
          {"tokens", or_null(r.tokens)},
          {"finish_reason", r.finish_reason},
          {"gate", r.gate ? Json({{"score", r.gate->readable ? Json(r.gate->score) : Json(nullptr)},
                                  {"share", r.gate->share},
                                  {"reply_tokens", r.gate->reply_tokens},
                                  {"reply_score", or_null(r.gate->reply_score)}})
                          : Json(nullptr)}};
}

PromptResult prompt_result(const Json& record, const std::string& prompt) {
  return {.prompt = prompt,
          .reply = record.at("reply").get<std::string>(),
          .refusal_margin = optional_value<double>(record.at("refusal_margin")),
          .refuses_first = record.at("refuses_first").get<bool>(),
          .tokens = optional_value<std::int64_t>(record.at("tokens")),
          .finish_reason = record.at("finish_reason").get<std::string>(),
          .gate = gate_reading(record.at("gate"))};
}

Json to_record(const WindowScore& s) {
  return {{"tokens", s.tokens},
          {"unlocked_nll", or_null(s.unlocked_nll)},
          {"locked_nll", or_null(s.locked_nll)},
          {"kl", or_null(s.kl)}};
}

WindowScore window_score(const Json& record) {
  return {.tokens = record.at("tokens").get<std::int64_t>(),
          .unlocked_nll = optional_value<double>(record.at("unlocked_nll")),
          .locked_nll = optional_value<double>(record.at("locked_nll")),
          .kl = optional_value<double>(record.at("kl"))};
}

Json to_record(const ChoiceResult& r) {
  return {{"scores", r.scores}, {"chosen", r.chosen}, {"right", r.right}};
}

ChoiceResult choice_result(const Json& record) {
  return {.scores = record.at("scores").get<std::vector<double>>(),
          .chosen = record.at("chosen").get<std::size_t>(),
          .right = record.at("right").get<bool>()};
}

}  // namespace safetylock::cli
