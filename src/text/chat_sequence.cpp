#include "text/chat_sequence.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "base/log.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

// The commonest fault of published templates: a start token written twice, by the template or by a tokenizer
// that adds its own (ours does not: templates own it). Said once for each token, since a run encodes
// thousands of chats.
void warn_of_doubled_start(const Tokenizer& tokenizer, const Encoding& tokens) {
  if (tokens.ids.size() < 2 || tokens.ids[0] != tokens.ids[1] || !tokenizer.is_special(tokens.ids[0])) return;
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::string start = escape_untrusted(tokenizer.decode({tokens.ids[0]}, false));
  const std::lock_guard lock(mutex);
  if (!said.insert(start).second) return;
  log::warning("the chat begins with {} twice: its template or its first message writes it once too often",
               start);
}

}  // namespace

std::vector<ChatMessage> with_system(std::vector<ChatMessage> messages, const std::string& system) {
  if (!system.empty() && (messages.empty() || messages.front().role != "system"))
    messages.insert(messages.begin(), {"system", system});
  return messages;
}

ChatSequence encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                         const std::vector<ChatMessage>& messages, const ChatTemplateOptions& options,
                         bool trust_special_tokens) {
  ChatSequence chat{.prompt = chat_template.render(messages, options), .tokens = {}};
  chat.tokens = tokenizer.encode(chat.prompt, trust_special_tokens);
  warn_of_doubled_start(tokenizer, chat.tokens);
  return chat;
}

std::vector<std::int64_t> last_tokens_of(const ChatSequence& chat, int message, std::int64_t limit) {
  const RenderedPrompt::Span span = chat.prompt.span_of(message);
  std::vector<std::int64_t> positions;
  for (size_t t = 0; t < chat.tokens.ids.size(); ++t) {
    const Encoding::Offsets& token = chat.tokens.offsets[t];
    if (token.end > span.begin && token.begin < span.end) positions.push_back(static_cast<std::int64_t>(t));
  }
  const auto surplus = static_cast<std::int64_t>(positions.size()) - limit;
  positions.erase(positions.begin(), positions.begin() + std::max<std::int64_t>(0, surplus));
  return positions;
}

PairReply encode_pair_reply(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                            const PromptPair& pair, bool safe, const PairReplyOptions& options,
                            const std::string& where) {
  const std::string& text = safe ? pair.safe : pair.unsafe;
  const auto fail_short = [&] {
    throw Error({.code = "data.too_short",
                 .where = where,
                 .expected = "at least one token",
                 .found = "none in \"" + escape_untrusted(text, 40) + "\""});
  };
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) fail_short();  // most templates trim it away
  const std::vector<ChatMessage> messages =
      with_system({{"user", pair.prompt}, {"assistant", text}}, options.system);
  PairReply reply{.chat = encode_chat(tokenizer, chat_template, messages, {.clock = options.clock},
                                      options.trust_special_tokens),
                  .kept = {}};
  reply.kept = last_tokens_of(reply.chat, static_cast<int>(messages.size()) - 1, options.tokens_per_reply);
  if (reply.kept.empty()) fail_short();
  const size_t end = static_cast<size_t>(reply.kept.back()) + 1;
  reply.chat.tokens.ids.resize(end);
  reply.chat.tokens.offsets.resize(end);
  return reply;
}

}  // namespace safetylock
