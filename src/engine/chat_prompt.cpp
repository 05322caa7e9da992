#include "engine/chat_prompt.h"

#include <algorithm>

#include "base/utf8.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

std::vector<ChatMessage> messages_of(const GenerateRequest& request, const std::string& system,
                                     size_t index) {
  const std::string where = "prompt " + std::to_string(index);
  if (request.messages.empty() || request.messages.back().content.empty()) {
    throw Error({.code = "arg.prompt", .where = where, .expected = "some text", .found = "an empty prompt"});
  }
  std::vector<ChatMessage> messages = with_system(request.messages, system);
  for (const ChatMessage& message : messages) {
    if (const auto offset = utf8::find_invalid(message.content)) {
      throw Error({.code = "arg.prompt",
                   .where = where + ", " + escape_untrusted(message.role) + " message, byte " +
                            std::to_string(*offset),
                   .expected = "valid UTF-8",
                   .found = escape_untrusted(std::string_view(message.content).substr(*offset, 4))});
    }
  }
  return messages;
}

}  // namespace

PromptPlaces prompt_places(const ChatSequence& chat, const std::vector<ChatMessage>& messages) {
  PromptPlaces places{.message = {}, .length = static_cast<std::int64_t>(chat.tokens.ids.size())};
  const auto last = std::find_if(messages.rbegin(), messages.rend(),
                                 [](const ChatMessage& message) { return message.role == "user"; });
  if (last == messages.rend()) return places;
  const auto index = static_cast<int>(messages.rend() - last) - 1;
  const auto& spans = chat.prompt.spans;
  if (std::none_of(spans.begin(), spans.end(), [&](const auto& span) { return span.message == index; }))
    return places;
  const std::vector<std::int64_t> tokens = last_tokens_of(chat, index, places.length);
  if (!tokens.empty()) places.message = {tokens.front(), tokens.back() + 1};
  return places;
}

ChatPrompt encode_chat_prompt(const CausalLM& model, const GenerateRequest& request,
                              const GenerateOptions& options, size_t index) {
  const std::vector<ChatMessage> messages = messages_of(request, options.system, index);
  ChatSequence chat = encode_chat(model.tokenizer(), model.chat_template(), messages,
                                  {.add_generation_prompt = true}, options.trust_special_tokens);
  const auto tokens = static_cast<std::int64_t>(chat.tokens.ids.size());
  const std::int64_t context = model.config().max_position_embeddings;
  if (tokens < 1 || tokens + options.max_new_tokens > context) {
    throw Error(
        {.code = "arg.prompt",
         .where = "prompt " + std::to_string(index),
         .expected = "at most " + std::to_string(context) + " tokens of prompt and reply",
         .found = std::to_string(tokens) + " tokens of prompt and up to " +
                  std::to_string(options.max_new_tokens) + " of reply",
         .hint = "Shorten the prompt or ask for fewer tokens; the start of a prompt is never dropped"});
  }
  const PromptPlaces places = prompt_places(chat, messages);
  return {.ids = std::move(chat.tokens.ids), .places = places};
}

std::vector<TokenId> encode_prompt(const CausalLM& model, const std::string& prompt) {
  if (!model.has_chat_template()) return model.tokenizer().encode(prompt, {.add_special_tokens = true}).ids;
  return encode_chat_prompt(model, {.messages = {{"user", prompt}}}, {.max_new_tokens = 1}, 0).ids;
}

}  // namespace safetylock
