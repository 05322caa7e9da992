// Reads tokenizer.model: alone, in a Hugging Face folder, and from GGUF metadata.
#pragma once

#include "formats/gguf.h"
#include "text/tokenizer_parts.h"

namespace safetylock {

/// A model file alone, which says nothing of added tokens. Throws spm.*, limit.*, io.*.
TokenizerParts read_bare_sentencepiece(const std::string& path);

/// tokenizer.model and tokenizer_config.json in `folder`, under the rules of the class that the latter names.
/// Throws as above and cfg.*; spm.unsupported for models that these rules would encode otherwise than they
/// were trained.
TokenizerParts read_sentencepiece_folder(const std::string& folder);

/// A GGUF file whose tokenizer.ggml.model is "llama". Throws spm.* and cfg.* naming the metadata key.
TokenizerParts read_sentencepiece_gguf(const GgufFile& file);

}  // namespace safetylock
