// A request as the tokens that the model reads.
#pragma once

#include <vector>

#include "model/prompt_places.h"
#include "safetylock/generate.h"
#include "text/chat_sequence.h"

namespace safetylock {

/// Where the last message of the user is in a chat with a generation prompt, of which `messages` are the
/// messages; not known where there is none or the template left it out.
PromptPlaces prompt_places(const ChatSequence& chat, const std::vector<ChatMessage>& messages);

struct ChatPrompt {
  std::vector<TokenId> ids;
  PromptPlaces places;
};

/// Renders the chat with a generation prompt and encodes it. `index` names the request in errors.
/// Throws arg.prompt (empty, invalid UTF-8, no room for max_new_tokens in the context), template.*.
ChatPrompt encode_chat_prompt(const CausalLM& model, const GenerateRequest& request,
                              const GenerateOptions& options, size_t index);

/// `prompt` as the model is asked it: rendered as a chat, or plain on a model without a template. Throws as
/// above.
std::vector<TokenId> encode_prompt(const CausalLM& model, const std::string& prompt);

}  // namespace safetylock
