#include "text/chat_file.h"

#include "base/json.h"
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

std::string tools_of(const Json& json, const std::string& file, const std::string& where) {
  if (!json.is_array()) fail(file, where, "a list of tools", describe_json(json));
  return json.dump();
}

}  // namespace

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
  if (!messages->is_array()) fail(file, where, "a list of messages", describe_json(*messages));
  if (messages->empty()) {
    throw Error({.code = "data.empty",
                 .file = file,
                 .where = where,
                 .expected = "at least one message",
                 .found = "none"});
  }
  for (size_t i = 0; i < messages->size(); ++i)
    chat.messages.push_back(message_of((*messages)[i], file, where + "/" + std::to_string(i)));
  return chat;
}

std::string parse_tools(std::string_view text, const std::string& file) {
  return tools_of(parse_json(text, file), file, "");
}

}  // namespace safetylock
