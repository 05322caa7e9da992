// The fingerprint of a tokenizer that a lock carries.
#pragma once

#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe_model.h"
#include "text/pretokenizer.h"

namespace safetylock {

/// SHA-256 (hexadecimal) over everything that decides which ids a text becomes: equal for a tokenizer.json
/// and a GGUF file that say the same. `added` in order of id. Not over bos/eos of the post-processor, which
/// prompts rendered by a chat template never get.
std::string tokenizer_digest(const BpeModel& model, const std::vector<AddedToken>& added,
                             PreTokenizerKind pre_tokenizer, NormalizerKind normalizer);

}  // namespace safetylock
