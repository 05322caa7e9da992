// One reply of a chat.
#pragma once

#include <optional>
#include <string>

#include "cli/chat/slash_commands.h"
#include "cli/session.h"
#include "safetylock/generate.h"

namespace safetylock::cli {

enum class ChatMode {
  terminal,  ///< Ctrl-C stops a reply, and the chat goes on with what was said
  script,    ///< Ctrl-C ends the chat
  json       ///< as script; a reply is one line of JSON
};

/// What was said: "stop", "length" as Generation::finish_reason, or "interrupted".
struct ChatReply {
  std::string text;
  std::string finish_reason;
  std::optional<GateReading> gate = {};  ///< of the last message, where a gate was asked
};

/// Sends `message` to the model and prints the reply as it comes. Both are then part of state.messages; after
/// an error, or when Ctrl-C came before the first word, neither is. Throws as generate does: arg.prompt with
/// what to do when the conversation does not fit the context.
ChatReply chat_reply(Session& session, const CausalLM& model, const GenerateOptions& options, ChatMode mode,
                     ChatState& state, const std::string& message);

}  // namespace safetylock::cli
