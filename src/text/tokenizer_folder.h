// The tokenizer of a Hugging Face folder: which of its files counts, and by which rules.
#pragma once

#include <string>

#include "text/tokenizer_parts.h"

namespace safetylock {

/// Whether the folder has a file that read_tokenizer_folder() would read.
bool has_tokenizer(const std::string& folder);

/// As transformers 5's AutoTokenizer reads it: `tokenizer.json`, else `tekken.json`, else `tokenizer.model`.
/// Some classes that tokenizer_config.json may name put stages of their own in the place of tokenizer.json's,
/// and the configuration may name special tokens that the file does not. Throws bpe.*, spm.*, cfg.*, limit.*,
/// json.*, io.*.
TokenizerParts read_tokenizer_folder(const std::string& folder);

}  // namespace safetylock
