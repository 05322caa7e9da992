// Sequences of tokens as `render` and `tokenize` show them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/session.h"
#include "text/token_view.h"

namespace safetylock::cli {

struct TokenList {
  std::string name;                ///< "chat", "safe", "unsafe"; empty: the only one
  std::vector<std::string> roles;  ///< of the messages that origins count
  std::string text;                ///< what the tokens stand for
  std::vector<TokenView> tokens;
  std::vector<TypedControlToken> typed;
  std::vector<std::int64_t> reply;  ///< positions of the reply span, ascending
};

TokenList make_token_list(const Tokenizer& tokenizer, std::string name, std::vector<std::string> roles,
                          const ChatSequence& chat, std::vector<std::int64_t> reply);

/// "text", "token_ids", "tokens", "typed_control_tokens", "reply_positions".
Json to_json(const TokenList& list);

/// Where the terminal shows colours, the text in them with thin bars between tokens; else a row a token.
std::string token_text(const Session& session, const TokenList& list);

/// Tells of control tokens that messages spell, and whether the model takes them for such.
void warn_of_typed(Session& session, const TokenList& list, bool trusted);

}  // namespace safetylock::cli
