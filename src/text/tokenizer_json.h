// Reads `tokenizer.json`, the file format of Hugging Face's tokenizers, for BPE: of bytes, or of characters
// with a sentencepiece vocabulary.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "text/character_bpe_model.h"
#include "text/tokenizer_parts.h"

namespace safetylock {

/// Largest tokenizer.json that is read.
constexpr size_t kMaxTokenizerJsonBytes = size_t{128} << 20;

/// What a tokenizer class of transformers builds itself, whatever the file says: only vocabulary, merges and
/// post-processor are the file's then.
struct ClassStages {
  Normalizer normalizer;
  PieceCut cut;
  Decoder decoder;
};

/// Anything the tokenizer would not do exactly as Hugging Face is refused: bpe.* naming the JSON path and the
/// rule; limit.*; json.* and cfg.* for what is not JSON or of the wrong type.
class TokenizerJson {
 public:
  /// `file` labels errors.
  TokenizerJson(std::string_view json, std::string file);

  const std::vector<AddedToken>& added_tokens() const noexcept { return added_; }
  BpeAlphabet alphabet() const;

  /// The tokenizer that the file describes.
  TokenizerParts parts() const { return parts(added_, std::nullopt); }
  /// The same with other added tokens, each with its id, and with the stages of a class; these need
  /// BpeAlphabet::characters, and look no word up whole.
  TokenizerParts parts(std::vector<AddedToken> added, std::optional<ClassStages> stages) const;
  /// The ids of the vocabulary by spelling. Valid as long as this.
  std::unordered_map<std::string_view, TokenId> vocabulary() const;

 private:
  JsonObject root() const { return JsonObject(document_, file_); }

  std::string file_;
  JsonTree document_;
  std::vector<AddedToken> added_;
};

}  // namespace safetylock
