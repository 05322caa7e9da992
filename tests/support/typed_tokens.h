// tests/golden/text/typed_tokens.json: what transformers makes of control tokens that a user types.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "safetylock/tokenizer.h"

namespace safetylock::test {

struct TypedTokensGolden {
  std::string typed, harmless, reply;            ///< the messages
  std::vector<TokenId> typed_ids, harmless_ids;  ///< chats of one user message, with a generation prompt
  std::vector<TokenId> pair_ids;                 ///< the typed message and the reply, up to its last token
  std::int64_t typed_control, harmless_control;  ///< how many of the ids are control tokens
  std::string typed_text;
};

inline TypedTokensGolden typed_tokens_golden(const std::string& model) {
  std::ifstream file(std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/text/typed_tokens.json");
  const auto json = nlohmann::json::parse(file);
  const auto& m = json.at("models").at(model);
  return {.typed = json.at("typed"),
          .harmless = json.at("harmless"),
          .reply = json.at("reply"),
          .typed_ids = m.at("typed").at("ids"),
          .harmless_ids = m.at("harmless").at("ids"),
          .pair_ids = m.at("pair_ids"),
          .typed_control = m.at("typed").at("control"),
          .harmless_control = m.at("harmless").at("control"),
          .typed_text = m.at("typed").at("text")};
}

}  // namespace safetylock::test
