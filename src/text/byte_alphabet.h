// The byte alphabet of byte-level BPE: vocabularies spell each byte as one printable character (GPT-2's
// `bytes_to_unicode`).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace safetylock::byte_alphabet {

/// The character that stands for `byte`: itself when printable Latin-1, else one of U+0100 to U+0143.
char32_t symbol(unsigned char byte) noexcept;

/// Bytes that `spelling` (UTF-8) stands for; nothing when one of its characters is outside the alphabet.
std::optional<std::string> to_bytes(std::string_view spelling);

/// What Hugging Face's ByteLevel decoder makes of one token: its bytes, or the spelling itself when it is
/// outside the alphabet.
std::string decode_token(std::string_view spelling);

}  // namespace safetylock::byte_alphabet
