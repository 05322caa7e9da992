// What each token of a sequence is: the template's or a message's, control or text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/chat_sequence.h"

namespace safetylock {

/// A control token that a message (or a role, a tool ...) spells: text to the model unless it is trusted.
struct TypedControlToken {
  TokenId id;
  std::string spelling;
  size_t begin, end;  ///< bytes of the prompt's text
  int origin;  ///< message index or RenderedPrompt::kCaller, of its first byte that is not the template's
};

struct TokenView {
  TokenId id;
  std::string bytes;  ///< what it stands for; may end inside a character
  size_t begin, end;  ///< bytes of the prompt's text
  int origin;         ///< of its first byte
  bool control;       ///< a control token to the model
  bool typed;         ///< lies in a TypedControlToken
};

std::vector<TypedControlToken> typed_control_tokens(const Tokenizer& tokenizer, const RenderedPrompt& prompt);

/// One a token of `chat`. `typed` is what typed_control_tokens found.
std::vector<TokenView> view_tokens(const Tokenizer& tokenizer, const ChatSequence& chat,
                                   const std::vector<TypedControlToken>& typed);

}  // namespace safetylock
