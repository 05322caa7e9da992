#include "text/sentencepiece_model.h"

#include <algorithm>
#include <unordered_set>

#include "base/utf8.h"
#include "text/control_marker.h"
#include "text/sentencepiece_decode.h"
#include "text/tokenizer_digest.h"

namespace safetylock {
namespace {

using Type = SentencePieceFile::Type;
using File = SentencePieceFile;

bool is_one_character(std::string_view text) {
  return utf8::decode(text).length == text.size();
}

// sentencepiece gives a lone character that is spelled like a control piece the id of that piece. Spells such
// pieces in a way that no text and no piece can be.
void hide_control_characters(File& file) {
  std::unordered_set<std::string> texts;
  for (const auto& piece : file.pieces) texts.insert(piece.text);
  for (auto& piece : file.pieces) {
    if (piece.type != Type::control || !is_one_character(piece.text)) continue;
    std::string spelling = piece.text;
    while (!texts.insert(spelling).second) spelling += piece.text;
    piece.text = std::move(spelling);
  }
}

// The file without the user-defined pieces that act as control tokens.
File guarded(File file) {
  for (auto& piece : file.pieces) {
    if (piece.type == Type::user_defined && is_control_marker(piece.text)) piece.type = Type::control;
  }
  hide_control_characters(file);
  return file;
}

bool has_control_markers(const File& file) {
  for (const auto& piece : file.pieces) {
    if (piece.type == Type::user_defined && is_control_marker(piece.text)) return true;
  }
  return false;
}

// The model with which the library merges as transformers does. transformers merges two tokens when both and
// their joined text are in the vocabulary: a piece with a character that is no piece is never made. It merges
// user-defined pieces like all others; what it finds in the text beforehand never gets here.
File merging_as_transformers(File file, const std::vector<AddedToken>& added, bool by_score) {
  std::unordered_set<std::string_view> control, texts;
  for (const AddedToken& token : added) {
    if (token.control) control.insert(token.content);
  }
  for (const auto& piece : file.pieces) texts.insert(piece.text);
  const auto can_be_made = [&](std::string_view text) {
    for (size_t i = 0; i < text.size();) {
      const size_t length = utf8::decode(text.substr(i)).length;
      if (!texts.contains(text.substr(i, length))) return false;
      i += length;
    }
    return true;
  };
  std::vector<Type> types;
  for (const auto& piece : file.pieces) {
    const bool ordinary =
        piece.type == Type::normal || piece.type == Type::user_defined || piece.type == Type::unused;
    const bool can_merge = ordinary && !control.contains(piece.text) && can_be_made(piece.text);
    types.push_back(!ordinary ? piece.type : can_merge ? Type::normal : Type::control);
  }
  for (size_t id = 0; id < file.pieces.size(); ++id) {
    file.pieces[id].type = types[id];
    if (!by_score) file.pieces[id].score = -static_cast<float>(id);  // exact: ids are below 2^24
  }
  hide_control_characters(file);
  file.charsmap.clear();
  file.add_dummy_prefix = file.remove_extra_whitespaces = file.treat_whitespace_as_suffix = false;
  file.escape_whitespaces = true;
  return file;
}

class BareEncoder final : public SubwordModel::Encoder {
 public:
  explicit BareEncoder(const SentencePieceLibrary& library) : library_(library) {}
  void encode(std::string_view text, bool /*at_start*/, std::vector<SubwordToken>& out) override {
    library_.encode(text, out);
  }

 private:
  const SentencePieceLibrary& library_;
};

class TransformersEncoder final : public SubwordModel::Encoder {
 public:
  TransformersEncoder(const SentencePieceLibrary& library, PrefixSpace prefix_space)
      : library_(library), prefix_space_(prefix_space) {}

  void encode(std::string_view text, bool at_start, std::vector<SubwordToken>& out) override {
    NormalizedText spelled(text, 0);
    spell_spaces(spelled, prefix_space_, at_start);
    const size_t first = out.size();
    library_.encode(spelled.text(), out);
    for (size_t i = first; i < out.size(); ++i) {
      // Each byte of a character stands for all of it.
      const ByteRange range = spelled.original_range(out[i].begin, std::max(out[i].end, out[i].begin + 1));
      out[i].begin = range.begin;
      out[i].end = range.end;
    }
  }

 private:
  const SentencePieceLibrary& library_;
  PrefixSpace prefix_space_;
};

}  // namespace

SentencePieceModel::SentencePieceModel(SentencePieceFile file) : file_(std::move(file)) {
  ids_.reserve(file_.pieces.size());
  for (size_t id = 0; id < file_.pieces.size(); ++id)
    ids_.emplace(file_.pieces[id].text, static_cast<TokenId>(id));
}

std::optional<TokenId> SentencePieceModel::find(std::string_view spelling) const {
  const auto it = ids_.find(spelling);
  return it == ids_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<char> SentencePieceModel::byte_of(const Piece& p) const {
  if (p.added || piece(p.id).type != Type::byte) return std::nullopt;
  const std::string& name = piece(p.id).text;  // <0xNN>
  return static_cast<char>(std::stoi(name.substr(3, 2), nullptr, 16));
}

BareSentencePieceModel::BareSentencePieceModel(SentencePieceFile model, const std::string& label)
    : SentencePieceModel(std::move(model)), whole_(file(), label) {
  if (has_control_markers(file())) guarded_.emplace(guarded(file()), label);
}

std::vector<AddedToken> BareSentencePieceModel::added_tokens() const {
  std::vector<AddedToken> tokens;
  for (size_t id = 0; id < file().pieces.size(); ++id) {
    const auto& p = file().pieces[id];
    const bool marker = p.type == Type::user_defined && is_control_marker(p.text);
    if (p.type != Type::control && !marker) continue;
    AddedToken token;
    token.id = static_cast<TokenId>(id);
    token.content = p.text;
    token.special = p.type == Type::control;
    token.control = true;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

std::unique_ptr<SubwordModel::Encoder> BareSentencePieceModel::encoder(bool parse_special) const {
  return std::make_unique<BareEncoder>(parse_special && guarded_ ? *guarded_ : whole_);
}

void BareSentencePieceModel::write_digest(DigestWriter& out, const Normalizer& normalizer) const {
  out.text("safetylock tokenizer 1: sentencepiece");
  out.text(normalizer.name());
  out.text(file().serialised());
}

std::string BareSentencePieceModel::decode(const std::vector<Piece>& pieces, bool valid) const {
  ByteRun bytes(valid ? InvalidBytes::each_replaced : InvalidBytes::kept);
  const bool drops_space = file().add_dummy_prefix || file().remove_extra_whitespaces;
  bool at_start = true;
  std::string out;
  for (const Piece& p : pieces) {
    if (const auto byte = byte_of(p)) {
      bytes.push(*byte);
      continue;
    }
    bytes.flush(out);
    at_start = at_start && out.empty();
    const Type type = piece(p.id).type;
    if (type == Type::unknown) {
      out += file().unknown_surface;
    } else if (type == Type::control) {
      if (p.added) out += *p.added;
    } else {
      std::string_view text = piece(p.id).text;
      if (at_start && drops_space && text.starts_with(kMetaspace)) {
        text.remove_prefix(kMetaspace.size());
        at_start = file().remove_extra_whitespaces;  // then every space at the start goes
      }
      append_with_spaces(text, out);
    }
  }
  bytes.flush(out);
  return out;
}

std::string BareSentencePieceModel::decode(const std::vector<Piece>& pieces) const {
  return decode(pieces, true);
}

std::string BareSentencePieceModel::decode_bytes(const std::vector<Piece>& pieces) const {
  return decode(pieces, false);
}

TransformersSentencePieceModel::TransformersSentencePieceModel(SentencePieceFile model,
                                                               const std::vector<AddedToken>& added,
                                                               TransformersRules rules,
                                                               const std::string& label)
    : SentencePieceModel(std::move(model)),
      rules_(rules),
      library_(merging_as_transformers(file(), added, rules.merge_by_score), label) {}

std::unique_ptr<SubwordModel::Encoder> TransformersSentencePieceModel::encoder(bool /*parse_special*/) const {
  return std::make_unique<TransformersEncoder>(library_, rules_.prefix_space);
}

void TransformersSentencePieceModel::write_digest(DigestWriter& out, const Normalizer& normalizer) const {
  out.text("safetylock tokenizer 1: sentencepiece under transformers' rules");
  out.text(normalizer.name());
  out.number(static_cast<std::uint64_t>(rules_.prefix_space));
  out.number(rules_.merge_by_score ? 1 : 0);
  out.text(file().serialised());
}

// tokenizers' decoders Replace, ByteFallback, Fuse and Strip.
std::string TransformersSentencePieceModel::decode(const std::vector<Piece>& pieces, bool valid) const {
  ByteRun bytes(valid ? InvalidBytes::run_replaced : InvalidBytes::kept);
  std::string out;
  for (const Piece& p : pieces) {
    if (const auto byte = byte_of(p)) {
      bytes.push(*byte);
      continue;
    }
    bytes.flush(out);
    append_with_spaces(p.added ? std::string_view(*p.added) : std::string_view(piece(p.id).text), out);
  }
  bytes.flush(out);
  if (rules_.strip_space && out.starts_with(' ')) out.erase(0, 1);
  return out;
}

std::string TransformersSentencePieceModel::decode(const std::vector<Piece>& pieces) const {
  return decode(pieces, true);
}

std::string TransformersSentencePieceModel::decode_bytes(const std::vector<Piece>& pieces) const {
  return decode(pieces, false);
}

}  // namespace safetylock
