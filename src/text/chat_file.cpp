#include "text/chat_file.h"

#include <functional>

#include "base/json.h"
#include "base/out_of_memory.h"
#include "formats/data_rows.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

[[noreturn]] void fail(const std::string& file, const std::string& where, const std::string& expected,
                       const std::string& found) {
  throw Error({.code = "data.field", .file = file, .where = where, .expected = expected, .found = found});
}

ChatMessage message_of(const Json& json, const std::string& file, const std::string& where) {
  if (!json.is_object()) fail(file, where, "an object with role and content", describe_json(json));
  const auto role = json.find("role");
  if (role == json.end() || !role->is_string())
    fail(file, where + "/role", "text", role == json.end() ? "nothing" : describe_json(*role));
  ChatMessage message{.role = role->get<std::string>(), .content = {}};
  JsonTree further(json);
  Json& extra = *further;
  extra.erase("role");
  const auto content = json.find("content");
  message.without_content = content == json.end();
  if (content != json.end() && content->is_string()) {
    message.content = content->get<std::string>();
    extra.erase("content");
  } else if (content != json.end() && !content->is_null() && !content->is_array()) {
    fail(file, where + "/content", "text, null or a list of parts", describe_json(*content));
  } else if (content == json.end() && !json.contains("tool_calls")) {
    fail(file, where + "/content", "text, null or a list of parts", "nothing");
  }
  if (!extra.empty()) message.extra_json = extra.dump();
  return message;
}

Conversation messages_of(const Json& json, const std::string& file, const std::string& where) {
  if (!json.is_array()) fail(file, where, "a list of messages", describe_json(json));
  if (json.empty()) {
    throw Error({.code = "data.empty",
                 .file = file,
                 .where = where,
                 .expected = "at least one message",
                 .found = "none"});
  }
  Conversation messages;
  for (size_t i = 0; i < json.size(); ++i)
    messages.push_back(message_of(json[i], file, where + "/" + std::to_string(i)));
  return messages;
}

Conversation conversation_of(const DataRow& row, const std::string& file) {
  const auto messages = row.columns.find("messages");
  if (messages == row.columns.end()) return {{"user", prompt_of(row, file)}};
  return messages_of(*messages->second, file, row.where + ", /messages");
}

std::string tools_of(const Json& json, const std::string& file, const std::string& where) {
  if (!json.is_array()) fail(file, where, "a list of tools", describe_json(json));
  return json.dump();
}

/// `read` gives each row to the sink that it gets.
std::vector<Conversation> conversations(const std::string& name,
                                        const std::function<void(const RowSink& sink)>& read) {
  return naming_memory_errors(name, [&] {
    std::vector<Conversation> all;
    const std::string file = escape_untrusted(name, 1000);
    read([&](const DataRow& row) { all.push_back(conversation_of(row, file)); });
    return all;
  });
}

}  // namespace

std::vector<Conversation> load_conversations(const std::string& path) {
  return conversations(path, [&](const RowSink& sink) { read_file_rows(path, sink); });
}

std::vector<Conversation> parse_conversations(std::string_view text, const std::string& name) {
  return conversations(name, [&](const RowSink& sink) { read_text_rows(text, name, sink); });
}

Chat parse_chat(std::string_view text, const std::string& file) {
  const JsonTree tree = parse_json(text, file);
  const Json& json = *tree;
  Chat chat;
  const Json* messages = &json;
  std::string where;
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if (key == "tools") {
        if (!value.is_null()) chat.tools_json = tools_of(value, file, "/tools");
      } else if (key != "messages") {
        fail(file, "/" + escape_untrusted(key), "no keys but messages and tools", "this key");
      }
    }
    const auto found = json.find("messages");
    if (found == json.end()) fail(file, "/messages", "a list of messages", "nothing");
    messages = &*found;
    where = "/messages";
  }
  chat.messages = messages_of(*messages, file, where);
  return chat;
}

std::string parse_tools(std::string_view text, const std::string& file) {
  return tools_of(parse_json(text, file), file, "");
}

}  // namespace safetylock
