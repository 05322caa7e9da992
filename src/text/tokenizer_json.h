// Reads `tokenizer.json`, the file format of Hugging Face's tokenizers, for byte-level BPE.
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer_parts.h"

namespace safetylock {

/// Largest tokenizer.json that is read.
constexpr size_t kMaxTokenizerJsonBytes = size_t{128} << 20;

/// `file` labels errors. Anything the tokenizer would not do exactly as Hugging Face is refused: bpe.* naming
/// the JSON path and the rule; limit.*; json.* and cfg.* for what is not JSON or of the wrong type.
TokenizerParts read_tokenizer_json(std::string_view json, const std::string& file);

}  // namespace safetylock
