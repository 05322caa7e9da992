// A request as the tokens that the model reads.
#pragma once

#include <vector>

#include "safetylock/generate.h"

namespace safetylock {

/// Renders the chat with a generation prompt and encodes it. `index` names the request in errors.
/// Throws arg.prompt (empty, invalid UTF-8, no room for max_new_tokens in the context), template.*.
std::vector<TokenId> encode_chat_prompt(const CausalLM& model, const GenerateRequest& request,
                                        const GenerateOptions& options, size_t index);

/// `prompt` as the model is asked it: rendered as a chat, or plain on a model without a template. Throws as
/// above.
std::vector<TokenId> encode_prompt(const CausalLM& model, const std::string& prompt);

}  // namespace safetylock
