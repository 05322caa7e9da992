// Where the parts of a prompt are that a gate reads.
#pragma once

#include <cstdint>

#include "safetylock/gate.h"

namespace safetylock {

/// Positions [begin, end) of tokens in a prompt; empty where there are none, or where nobody knows.
struct TokenRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t length() const noexcept { return end > begin ? end - begin : 0; }
};

struct PromptPlaces {
  TokenRange message;       ///< tokens with bytes of the last message of the user; empty: not known
  std::int64_t length = 0;  ///< tokens of the prompt
  TokenRange reply = {};    ///< tokens behind the prompt that are read with it

  /// Empty where the prompt has no such tokens or they are not known.
  TokenRange at(GatePosition position) const noexcept {
    switch (position) {
      case GatePosition::last_token:
        return {length > 0 ? length - 1 : 0, length};
      case GatePosition::template_tail:
        return message.length() > 0 ? TokenRange{message.end, length} : TokenRange{};
      case GatePosition::message:
        return message;
      case GatePosition::message_end:
        return message.length() > 0 && message.end < length ? TokenRange{message.end, message.end + 1}
                                                            : TokenRange{};
      case GatePosition::reply:
        return reply;
    }
    return {};
  }
};

}  // namespace safetylock
