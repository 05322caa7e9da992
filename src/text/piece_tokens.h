// The added tokens of a tokenizer with a sentencepiece vocabulary.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/sentencepiece_file.h"

namespace safetylock {

/// Gives each token its id: the vocabulary's, or the next after it, in the order in which they are added.
class PieceTokens {
 public:
  /// `model` must outlive this.
  explicit PieceTokens(const SentencePieceFile& model);

  /// A token that is there already keeps its first description.
  void add(AddedToken token);
  /// The control and user-defined pieces, as transformers takes them: the former are special.
  void add_pieces();

  /// The tokens so far, each marked when it is special or spelled as control tokens are. Throws
  /// spm.added_token for a byte piece: it stands for its byte wherever it is decoded.
  std::vector<AddedToken> take(const std::string& file);

 private:
  const SentencePieceFile& model_;
  std::unordered_map<std::string_view, TokenId> ids_;  // of the vocabulary
  std::unordered_map<std::string, TokenId> added_;
  std::vector<AddedToken> tokens_;
  size_t new_tokens_ = 0;
};

}  // namespace safetylock
