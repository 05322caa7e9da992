// Reads tekken.json, Mistral's own file of byte-level BPE: a pattern, tokens as bytes in order of rank, and
// control tokens before them.
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer_parts.h"

namespace safetylock {

/// As transformers converts it when the mistral-common package is not there: merges are all ways to cut a
/// token into two others, and no bos is added. `file` labels errors. Throws bpe.* naming the JSON path,
/// limit.*, json.*, cfg.*.
TokenizerParts read_tekken(std::string_view json, const std::string& file);

}  // namespace safetylock
