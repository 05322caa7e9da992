// Chats as users write them: one in JSON, or many in rows.
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

using Conversation = std::vector<ChatMessage>;

/// Requests in the formats of load_prompts: rows with `messages`, a list as above, and rows with a prompt,
/// which is one message of the user's. Throws as load_prompts and parse_chat.
std::vector<Conversation> load_conversations(const std::string& path);
/// From text in memory, which errors call `name`: JSON if it begins with [, JSONL if with {, CSV if its first
/// line is a header with such a column, else plain text, one prompt a line.
std::vector<Conversation> parse_conversations(std::string_view text, const std::string& name);

/// The text of a JSON list, for ChatTemplateOptions::tools_json. Throws json.*, data.field.
std::string parse_tools(std::string_view json, const std::string& file);

}  // namespace safetylock
