// What a user can say to a chat itself: /help, /lock, /reset ...
#pragma once

#include <string>
#include <vector>

#include "cli/chat/lock.h"
#include "safetylock/chat_template.h"

namespace safetylock::cli {

/// What a chat keeps between two replies.
struct ChatState {
  ChatLock lock;
  std::string system = {};                 ///< system prompt; empty: the template's own
  std::vector<ChatMessage> messages = {};  ///< user and assistant in turn, an answer last
  bool ended = false;
};

/// Obeys `line`, which begins with a slash, and returns what to tell the user (text of the chat in it is as
/// it is, not made safe for a terminal). Throws Error arg.usage (unknown command, argument it does not take,
/// no lock), arg.alpha, arg.prompt (invalid UTF-8); then `state` is as before.
std::string run_slash_command(ChatState& state, const std::string& line);

/// With their slashes.
std::vector<std::string> slash_command_names();

}  // namespace safetylock::cli
