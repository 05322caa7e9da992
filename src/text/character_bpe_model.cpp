#include "text/character_bpe_model.h"

#include "text/tokenizer_digest.h"

namespace safetylock {
namespace {

class PieceEncoder final : public SubwordModel::Encoder {
 public:
  PieceEncoder(const BpeModel& bpe, const PieceCut& cut) : bpe_(bpe), cut_(cut) {}

  void encode(std::string_view text, bool at_start, std::vector<SubwordToken>& out) override {
    switch (cut_.kind) {
      case PieceCut::Kind::none:
        encode_piece(text, 0, text.size(), out);
        break;
      case PieceCut::Kind::literal:
        cut_behind(text, out);
        break;
      case PieceCut::Kind::metaspace:
        encode_metaspace(text, at_start, out);
        break;
    }
  }

 private:
  void encode_piece(std::string_view text, size_t begin, size_t end, std::vector<SubwordToken>& out) {
    const size_t first = out.size();
    bpe_.encode(text.substr(begin, end - begin), scratch_, out);
    for (size_t i = first; i < out.size(); ++i) {
      out[i].begin += begin;
      out[i].end += begin;
    }
  }

  // tokenizers' MergedWithPrevious: a literal ends the piece before it, and one that follows another is a
  // piece of its own.
  void cut_behind(std::string_view text, std::vector<SubwordToken>& out) {
    size_t begin = 0;
    while (begin < text.size()) {
      const size_t found = text.find(cut_.literal, begin);
      const size_t end = found == std::string_view::npos ? text.size() : found + cut_.literal.size();
      encode_piece(text, begin, end, out);
      begin = end;
    }
  }

  // tokenizers' MergedWithNext: the mirror image of the above.
  void cut_before(std::string_view text, std::vector<SubwordToken>& out) {
    size_t begin = 0;
    while (begin < text.size()) {
      const size_t end = std::min(text.find(kMetaspace, begin + 1), text.size());
      encode_piece(text, begin, end, out);
      begin = end;
    }
  }

  void encode_metaspace(std::string_view text, bool at_start, std::vector<SubwordToken>& out) {
    NormalizedText spelled(text, 0);
    spell_spaces(spelled, cut_.prefix, at_start);
    const size_t first = out.size();
    if (cut_.split) {
      cut_before(spelled.text(), out);
    } else {
      encode_piece(spelled.text(), 0, spelled.text().size(), out);
    }
    for (size_t i = first; i < out.size(); ++i) {
      const ByteRange range = spelled.original_range(out[i].begin, out[i].end);
      out[i].begin = range.begin;
      out[i].end = range.end;
    }
  }

  const BpeModel& bpe_;
  const PieceCut& cut_;
  BpeModel::Scratch scratch_;
};

}  // namespace

std::unique_ptr<SubwordModel::Encoder> CharacterBpeModel::encoder(bool /*parse_special*/) const {
  return std::make_unique<PieceEncoder>(bpe_, cut_);
}

std::vector<std::string> CharacterBpeModel::spellings(const std::vector<Piece>& pieces) const {
  std::vector<std::string> out;
  out.reserve(pieces.size());
  for (const Piece& piece : pieces) out.push_back(piece.added ? *piece.added : std::string(bytes(piece.id)));
  return out;
}

std::string CharacterBpeModel::decode(const std::vector<Piece>& pieces) const {
  return decoder_(spellings(pieces), false);
}

std::string CharacterBpeModel::decode_bytes(const std::vector<Piece>& pieces) const {
  return decoder_(spellings(pieces), true);
}

void CharacterBpeModel::write_digest(DigestWriter& out, const Normalizer& normalizer) const {
  out.text("safetylock tokenizer 1: BPE of characters");
  out.number(static_cast<std::uint64_t>(cut_.kind));
  out.number(static_cast<std::uint64_t>(cut_.prefix));
  out.number(cut_.split ? 1 : 0);
  out.text(cut_.literal);
  out.text(normalizer.name());
  bpe_.write_digest(out);
}

}  // namespace safetylock
