// Reads the tokenizer in a GGUF file's metadata (tokenizer.ggml.*), for byte-level BPE.
#pragma once

#include "formats/gguf.h"
#include "text/tokenizer_parts.h"

namespace safetylock {

/// Builds what transformers builds from the same file. Throws bpe.* (model, pre-tokenizer, lengths, merges,
/// ids) and cfg.* naming the metadata key.
TokenizerParts read_gguf_tokenizer(const GgufFile& file);

}  // namespace safetylock
