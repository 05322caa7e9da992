// Chats as users write them: JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "safetylock/chat_template.h"

namespace safetylock {

constexpr std::uint64_t kMaxChatBytes = std::uint64_t{64} << 20;

struct Chat {
  std::vector<ChatMessage> messages;  ///< not empty
  std::string tools_json;             ///< JSON array of tools; empty: none
};

/// A list of {"role", "content"}, or {"messages": [...], "tools": [...]}. Further keys of a message are kept
/// for the template, so are contents that are null or lists of parts. `file` labels errors. Throws json.*,
/// data.empty, data.field (pointer, found type).
Chat parse_chat(std::string_view json, const std::string& file);

/// The text of a JSON list, for ChatTemplateOptions::tools_json. Throws json.*, data.field.
std::string parse_tools(std::string_view json, const std::string& file);

}  // namespace safetylock
