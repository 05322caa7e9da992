// Sentencepiece's BPE as tokenizer.json holds it: characters with bytes to fall back to, spaces spelled
// U+2581.
#pragma once

#include "text/bpe_model.h"
#include "text/decoder.h"
#include "text/subword_model.h"

namespace safetylock {

/// How text is made ready for BPE: tokenizers' pre-tokenizer.
struct PieceCut {
  enum class Kind {
    none,       ///< all of it at once
    metaspace,  ///< spaces become U+2581, with one in front as `prefix` says; `split`: cut before each
    literal,    ///< cut behind each `literal`
  } kind = Kind::none;
  PrefixSpace prefix = PrefixSpace::never;
  bool split = false;
  std::string literal = {};
};

class CharacterBpeModel final : public SubwordModel {
 public:
  /// `bpe` has BpeAlphabet::characters and a token for every byte.
  CharacterBpeModel(BpeModel bpe, PieceCut cut, Decoder decoder)
      : bpe_(std::move(bpe)), cut_(std::move(cut)), decoder_(std::move(decoder)) {}

  std::unique_ptr<Encoder> encoder(bool parse_special) const override;
  size_t size() const noexcept override { return bpe_.vocabulary().size(); }
  std::optional<TokenId> find(std::string_view spelling) const override {
    return bpe_.vocabulary().find(spelling);
  }
  std::string_view bytes(TokenId id) const override { return bpe_.vocabulary().bytes(id); }
  std::string decode(const std::vector<Piece>& pieces) const override;
  std::string decode_bytes(const std::vector<Piece>& pieces) const override;
  void write_digest(DigestWriter& out, const Normalizer& normalizer) const override;

 private:
  std::vector<std::string> spellings(const std::vector<Piece>& pieces) const;

  BpeModel bpe_;
  PieceCut cut_;
  Decoder decoder_;
};

}  // namespace safetylock
