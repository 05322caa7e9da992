// Sentencepiece as a tokenizer's model, under two sets of rules: its own (as spm_encode and spm_decode), and
// those that transformers' Llama and Gemma tokenizers put in their place.
#pragma once

#include <unordered_map>

#include "text/added_tokens.h"
#include "text/sentencepiece_file.h"
#include "text/sentencepiece_library.h"

namespace safetylock {

/// The vocabulary, and what both sets of rules share.
class SentencePieceModel : public SubwordModel {
 public:
  size_t size() const noexcept override { return file_.pieces.size(); }
  std::optional<TokenId> find(std::string_view spelling) const override;
  std::string_view bytes(TokenId id) const override { return piece(id).text; }

 protected:
  explicit SentencePieceModel(SentencePieceFile file);
  const SentencePieceFile& file() const noexcept { return file_; }
  const SentencePieceFile::Piece& piece(TokenId id) const { return file_.pieces[static_cast<size_t>(id)]; }
  /// The byte that a byte piece stands for.
  std::optional<char> byte_of(const Piece& piece) const;

 private:
  SentencePieceFile file_;
  std::unordered_map<std::string_view, TokenId> ids_;
};

/// A model file alone. With parse_special off a text becomes what spm_encode makes of it; with it on, what
/// stands between control tokens does.
class BareSentencePieceModel final : public SentencePieceModel {
 public:
  /// `label` names the file in errors. Throws spm.library.
  BareSentencePieceModel(SentencePieceFile file, const std::string& label);

  /// The control pieces, and the user-defined ones that act as such: to be found before this encodes.
  std::vector<AddedToken> added_tokens() const;

  std::unique_ptr<Encoder> encoder(bool parse_special) const override;
  std::string decode(const std::vector<Piece>& pieces) const override;
  std::string decode_bytes(const std::vector<Piece>& pieces) const override;
  void write_digest(DigestWriter& out, const Normalizer& normalizer) const override;

 private:
  std::string decode(const std::vector<Piece>& pieces, bool valid) const;

  SentencePieceLibrary whole_;                   // every piece as the file says
  std::optional<SentencePieceLibrary> guarded_;  // without user-defined control tokens, where there are any
};

struct TransformersRules {
  PrefixSpace prefix_space = PrefixSpace::never;
  bool strip_space = false;     ///< decoding drops one space at the start
  bool merge_by_score = false;  ///< as for GGUF files; else by id
};

/// The vocabulary as transformers uses it: text is only changed by spelling spaces as U+2581, control and
/// added tokens are never a result of merging, and merges have the order of ids or scores.
class TransformersSentencePieceModel final : public SentencePieceModel {
 public:
  /// `file` is BPE with byte fallback. `added` are the tokens that are found before this encodes.
  TransformersSentencePieceModel(SentencePieceFile file, const std::vector<AddedToken>& added,
                                 TransformersRules rules, const std::string& label);

  std::unique_ptr<Encoder> encoder(bool parse_special) const override;
  std::string decode(const std::vector<Piece>& pieces) const override;
  std::string decode_bytes(const std::vector<Piece>& pieces) const override;
  void write_digest(DigestWriter& out, const Normalizer& normalizer) const override;

 private:
  std::string decode(const std::vector<Piece>& pieces, bool valid) const;

  TransformersRules rules_;
  SentencePieceLibrary library_;
};

}  // namespace safetylock
