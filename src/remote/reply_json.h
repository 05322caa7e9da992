// What servers answer, as plain structs. Servers differ in details; what none of them may lack is checked.
#pragma once

#include <string>
#include <vector>

#include "remote/endpoint.h"

namespace safetylock {

/// `url` labels errors. Throw json.* and remote.reply.
RemoteReply parse_chat_reply(const std::string& json, const std::string& url);
RemoteReply parse_completion_reply(const std::string& json, const std::string& url);
std::vector<std::string> parse_model_list(const std::string& json, const std::string& url);

/// The words of an error body: error.message, message or detail; else its first bytes. Escaped and cut.
std::string error_words(const std::string& body);

}  // namespace safetylock
