// A chat as the tokens that a model reads, and which of them belong to a reply. Generation, extraction and
// the tool's `render` all come through here, so that what is shown is what is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "safetylock/chat_template.h"
#include "safetylock/prompt_data.h"
#include "safetylock/tokenizer.h"

namespace safetylock {

struct ChatSequence {
  RenderedPrompt prompt;
  Encoding tokens;  ///< offsets are into prompt.text
};

/// `messages` with `system` in front, unless it is empty or the chat begins with a system message of its own.
std::vector<ChatMessage> with_system(std::vector<ChatMessage> messages, const std::string& system);

/// Nothing is added to what the template renders: no bos of the tokenizer's own. Warns, once a process and
/// token, of a chat that begins with one control token twice. Throws template.*, arg.prompt (invalid UTF-8).
ChatSequence encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                         const std::vector<ChatMessage>& messages, const ChatTemplateOptions& options,
                         bool trust_special_tokens);

/// Positions of the last `limit` tokens with bytes of `message`, ascending: a token that it shares with the
/// template counts, as " Yes" does after a template's space. Throws template.span when the template left the
/// message out.
std::vector<std::int64_t> last_tokens_of(const ChatSequence& chat, int message, std::int64_t limit);

struct PairReplyOptions {
  std::int64_t tokens_per_reply = 5;  ///< r
  std::string system = {};            ///< empty: the template's own default
  bool trust_special_tokens = false;
  ChatClock clock = {};  ///< empty: the system's
};

/// One half of a pair as extraction reads it: the chat up to the last token of its reply.
struct PairReply {
  ChatSequence chat;
  std::vector<std::int64_t> kept;  ///< positions of the last r tokens with bytes of the reply, ascending
};

/// `where` names the pair in errors. Throws data.too_short when the reply has no token.
PairReply encode_pair_reply(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                            const PromptPair& pair, bool safe, const PairReplyOptions& options,
                            const std::string& where);

}  // namespace safetylock
