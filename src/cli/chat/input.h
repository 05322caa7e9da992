// What a user says, put together from lines.
#pragma once

#include <string>

#include "cli/chat/line_source.h"

namespace safetylock::cli {

enum class ChatInputKind {
  message,
  command,    ///< begins with a slash
  nothing,    ///< an empty line, or something dropped by Ctrl-C
  cancelled,  ///< Ctrl-C where there was nothing
  cut_off,    ///< the input ended within it
  end
};

struct ChatInput {
  ChatInputKind kind;
  std::string text;
};

/// A line that ends in a backslash goes on in the next; a message from """ to """ is taken as it stands, its
/// first and last line break excepted. Two slashes begin a message with one.
ChatInput read_chat_input(LineSource& lines, const Prompt& prompt);

}  // namespace safetylock::cli
