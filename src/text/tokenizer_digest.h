// The fingerprint of a tokenizer that a lock carries.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/subword_model.h"

namespace safetylock {

/// Collects what is to be hashed. Every item is written with its length or as a fixed number of bytes, so
/// that no two tokenizers give the same bytes.
class DigestWriter {
 public:
  void number(std::uint64_t v);
  void text(std::string_view s);
  std::string hex() const;  ///< SHA-256

 private:
  std::string bytes_;
};

/// SHA-256 (hexadecimal) over everything that decides which ids a text becomes: equal for a tokenizer.json
/// and a GGUF file that say the same. `added` in order of id. Not over bos/eos of the post-processor, which
/// prompts rendered by a chat template never get.
std::string tokenizer_digest(const SubwordModel& model, const Normalizer& normalizer,
                             const std::vector<AddedToken>& added);

}  // namespace safetylock
