// What a tokenizer is made of: the common result of reading tokenizer.json, tokenizer.model and GGUF
// metadata.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe_model.h"
#include "text/normalizer.h"
#include "text/subword_model.h"

namespace safetylock {

/// What Hugging Face's post-processor does to one sequence.
struct PostProcessing {
  std::vector<TokenId> before;    ///< put first when special tokens are added
  std::vector<TokenId> after;     ///< put last
  bool trim_offsets = false;      ///< offsets leave out White_Space at a token's ends
  bool add_prefix_space = false;  ///< with trim_offsets: the first token keeps its leading space
};

struct TokenizerParts {
  std::unique_ptr<SubwordModel> model;
  std::vector<AddedToken> added_tokens;
  Normalizer normalizer = {};
  PostProcessing post_processing;
};

/// Sizes above which a file is refused (limit.*).
constexpr size_t kMaxVocabulary = 2'000'000;
constexpr size_t kMaxMerges = 4'000'000;
constexpr size_t kMaxTokenBytes = 65'536;
constexpr size_t kMaxAddedTokens = 100'000;
constexpr size_t kMaxAddedTokenBytes = 4'000'000;  ///< of all contents together

/// Builds a BpeModel from spelled tokens and merges with the checks that all files share. Every failure names
/// `file` and a place in it.
class BpeBuilder {
 public:
  /// Tokens of BpeAlphabet::bytes are spelled in the byte alphabet, those of characters as they are.
  /// `vocabulary_place` and `merges_place` name the two lists in errors, e.g. "/model/vocab".
  BpeBuilder(BpeAlphabet alphabet, std::string file, std::string vocabulary_place, std::string merges_place);

  /// The next token. Throws bpe.vocab_key, bpe.vocab_id (spelled twice), limit.*.
  void add_token(std::string_view spelling);
  /// The next token, as the bytes it stands for.
  void add_bytes(std::string_view bytes);
  /// The next token, which is an added one: any spelling.
  void add_added_token(std::string_view content);
  void reserve(size_t tokens, size_t merges);

  /// Closes the vocabulary. Of `added`, the control tokens are never made of text. Throws bpe.byte_alphabet,
  /// and bpe.added_token for a control token that stands for a byte.
  void finish_vocabulary(bool ignore_merges, const std::vector<AddedToken>& added);
  /// The next merge, as its two spelled parts. Throws bpe.merge_unknown, bpe.merge_duplicate.
  void add_merge(std::string_view left, std::string_view right);
  /// The next merge, as "left right". Throws bpe.merge_syntax as well.
  void add_merge(std::string_view line);

  const Vocabulary& vocabulary() const noexcept { return model_ ? model_->vocabulary() : vocabulary_; }
  BpeModel take() { return std::move(*model_); }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const;
  std::string merge_place() const;
  void check_token_count(std::string_view spelling) const;
  TokenId merge_part(std::string_view spelling) const;
  /// The bytes of a token, nothing when it is not spelled in our alphabet.
  std::optional<std::string> bytes_of(std::string_view spelling) const;
  void check_bytes() const;
  void forbid_control_tokens(const std::vector<AddedToken>& added);

  BpeAlphabet alphabet_;
  size_t merge_rank_ = 0;
  std::string file_, vocabulary_place_, merges_place_;
  size_t expected_merges_ = 0;
  Vocabulary vocabulary_;
  std::optional<BpeModel> model_;
};

/// Checks that added tokens have distinct ids and contents (also after normalisation), that one in the
/// vocabulary has its id, and that new ones continue it without a gap, in file order, as Hugging Face numbers
/// them. `place` names the list. Throws bpe.added_token.
void check_added_tokens(const std::vector<AddedToken>& tokens, const SubwordModel& model,
                        const Normalizer& normalizer, const std::string& file, const std::string& place);

}  // namespace safetylock
