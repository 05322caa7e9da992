// Results as JSON: the parts that several subcommands print.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "safetylock/evaluate.h"

namespace safetylock::cli {

/// Two-space indented text with a final newline; bytes that are no UTF-8 become U+FFFD.
std::string json_text(const Json& value);
/// The same on one line.
std::string json_line(const Json& value);

/// The value, or null.
template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}
/// null for an empty text: an option that was not given.
Json text_or_null(const std::string& text);

Json to_json(const Rate& rate);
Json to_json(const Mean& mean);
Json to_json(const McNemar& test);
Json to_json(const CausalCheck& check);
/// What a gate said of a request; null where it was not asked.
Json to_json(const std::optional<GateReading>& reading);
/// With every prompt and reply, in order.
Json to_json(const Evaluation& evaluation);

}  // namespace safetylock::cli
