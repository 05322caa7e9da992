// Conversations and options from the goldens' JSON.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "safetylock/chat_template.h"

namespace safetylock::test {

using OrderedJson = nlohmann::ordered_json;

inline ChatMessage message_of(const OrderedJson& json) {
  ChatMessage message{json.at("role"), ""};
  OrderedJson extra = json;
  extra.erase("role");
  message.without_content = !json.contains("content");
  if (!message.without_content && json.at("content").is_string()) {
    message.content = json.at("content");
    extra.erase("content");
  }
  if (!extra.empty()) message.extra_json = extra.dump();
  return message;
}

inline std::vector<ChatMessage> messages_of(const OrderedJson& json) {
  std::vector<ChatMessage> messages;
  for (const auto& message : json) messages.push_back(message_of(message));
  return messages;
}

/// 2026-03-07 09:05:01 UTC, the goldens' clock.
inline std::chrono::system_clock::time_point golden_now() {
  return std::chrono::system_clock::time_point(std::chrono::seconds(1772874301));
}

}  // namespace safetylock::test
