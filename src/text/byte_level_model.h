// Byte-level BPE as a tokenizer's model: a pre-tokenizer cuts words, BPE cuts each word.
#pragma once

#include "text/bpe_model.h"
#include "text/pretokenizer.h"
#include "text/subword_model.h"

namespace safetylock {

class ByteLevelModel final : public SubwordModel {
 public:
  ByteLevelModel(BpeModel bpe, PreTokenizerKind pre_tokenizer)
      : bpe_(std::move(bpe)), pre_tokenizer_(pre_tokenizer) {}

  std::unique_ptr<Encoder> encoder(bool parse_special) const override;
  size_t size() const noexcept override { return bpe_.vocabulary().size(); }
  std::optional<TokenId> find(std::string_view spelling) const override;
  std::string_view bytes(TokenId id) const override { return bpe_.vocabulary().bytes(id); }
  std::string decode(const std::vector<Piece>& pieces) const override;
  std::string decode_bytes(const std::vector<Piece>& pieces) const override;
  void write_digest(DigestWriter& out, const Normalizer& normalizer) const override;

 private:
  BpeModel bpe_;
  PreTokenizerKind pre_tokenizer_;
};

}  // namespace safetylock
