// Base64 (RFC 4648, section 4), strictly: padded, nothing but its alphabet, unused bits zero.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace safetylock {

/// The bytes that `text` spells; nothing when it is not base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace safetylock
