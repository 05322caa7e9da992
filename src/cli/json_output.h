// Results as JSON: the parts that several subcommands print.
#pragma once

#include <string>

#include "base/json.h"
#include "safetylock/evaluate.h"

namespace safetylock::cli {

/// Two-space indented text with a final newline; bytes that are no UTF-8 become U+FFFD.
std::string json_text(const Json& value);
/// The same on one line.
std::string json_line(const Json& value);

Json to_json(const Rate& rate);
Json to_json(const Mean& mean);
Json to_json(const McNemar& test);
Json to_json(const CausalCheck& check);
/// With every prompt and reply, in order.
Json to_json(const Evaluation& evaluation);

}  // namespace safetylock::cli
