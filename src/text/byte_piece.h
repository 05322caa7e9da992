// How sentencepiece vocabularies spell a byte of a character that they lack: "<0x00>" to "<0xFF>".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace safetylock {

std::string byte_piece(unsigned byte);

/// The byte that `spelling` stands for when text is put together again. As lenient as tokenizers, which also
/// takes small letters and "<0x+F>".
std::optional<char> byte_of_piece(std::string_view spelling);

}  // namespace safetylock
