#include "text/byte_level_model.h"

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_digest.h"

namespace safetylock {
namespace {

class WordEncoder final : public SubwordModel::Encoder {
 public:
  WordEncoder(const BpeModel& bpe, PreTokenizerKind pre_tokenizer) : bpe_(bpe), words_(pre_tokenizer) {}

  void encode(std::string_view text, bool /*at_start*/, std::vector<SubwordToken>& out) override {
    words_.for_each_word(text, [&](size_t begin, size_t end) {
      const size_t first = out.size();
      bpe_.encode(text.substr(begin, end - begin), scratch_, out);
      for (size_t i = first; i < out.size(); ++i) {
        out[i].begin += begin;
        out[i].end += begin;
      }
    });
  }

 private:
  const BpeModel& bpe_;
  PreTokenizer words_;
  BpeModel::Scratch scratch_;
};

}  // namespace

std::unique_ptr<SubwordModel::Encoder> ByteLevelModel::encoder(bool /*parse_special*/) const {
  return std::make_unique<WordEncoder>(bpe_, pre_tokenizer_);
}

std::optional<TokenId> ByteLevelModel::find(std::string_view spelling) const {
  const auto bytes = byte_alphabet::to_bytes(spelling);
  return bytes ? bpe_.vocabulary().find(*bytes) : std::nullopt;
}

std::string ByteLevelModel::decode_bytes(const std::vector<Piece>& pieces) const {
  std::string out;
  for (const Piece& piece : pieces) {
    if (piece.added) {
      out += byte_alphabet::decode_token(*piece.added);
    } else {
      out += bytes(piece.id);
    }
  }
  return out;
}

std::string ByteLevelModel::decode(const std::vector<Piece>& pieces) const {
  return utf8::to_valid(decode_bytes(pieces));
}

void ByteLevelModel::write_digest(DigestWriter& out, const Normalizer& normalizer) const {
  out.text("safetylock tokenizer 1: byte-level BPE");
  out.text(name_of(pre_tokenizer_));
  out.text(normalizer.name());
  bpe_.write_digest(out);
}

}  // namespace safetylock
