// The rules of a sentencepiece model's pieces. Each stands for something that sentencepiece 0.1.97 accepts
// and then crashes on, or that would leave some text without tokens.
#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/utf8.h"
#include "safetylock/error.h"
#include "text/byte_piece.h"
#include "text/sentencepiece_file.h"
#include "text/tokenizer_parts.h"

namespace safetylock {
namespace {

using Type = SentencePieceFile::Type;

// The library keeps this many user-defined symbols that begin alike on the stack.
constexpr size_t kMaxNestedSymbols = 64;

class PieceCheck {
 public:
  PieceCheck(const SentencePieceFile& model, const std::string& file, const std::string& place)
      : model_(model), file_(file), place_(place) {}

  void run() {
    if (model_.pieces.size() > kMaxVocabulary) {
      throw Error({"limit.vocabulary", file_, "", "at most " + std::to_string(kMaxVocabulary) + " pieces",
                   std::to_string(model_.pieces.size()), ""});
    }
    std::unordered_set<std::string_view> seen;
    seen.reserve(model_.pieces.size());
    for (size_t id = 0; id < model_.pieces.size(); ++id) {
      check_text(id);
      if (!seen.insert(model_.pieces[id].text).second)
        fail("spm.piece", id, "each piece once", quoted(id) + " again");
      if (!std::isfinite(model_.pieces[id].score))
        fail("spm.score", id, "a finite score", std::isnan(model_.pieces[id].score) ? "NaN" : "infinity");
    }
    check_unknown();
    check_bytes(seen);
    check_symbols();
  }

 private:
  [[noreturn]] void fail(const std::string& code, size_t id, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, file_, place_ + " " + std::to_string(id), expected, found, hint});
  }

  std::string quoted(size_t id) const { return "\"" + escape_untrusted(model_.pieces[id].text, 80) + "\""; }

  void check_text(size_t id) const {
    const auto& [text, score, type] = model_.pieces[id];
    if (text.empty()) fail("spm.piece", id, "a text", "an empty one");
    if (text.size() > kMaxPieceBytes)
      fail("spm.piece_length", id, "at most " + std::to_string(kMaxPieceBytes) + " bytes",
           std::to_string(text.size()));
    if (utf8::find_invalid(text)) fail("spm.piece", id, "valid UTF-8", quoted(id));
    if (text.find('\0') == std::string::npos) return;
    // The tries of unigram models and of user-defined symbols end texts at NUL.
    const bool harmless = text.size() == 1 && type == Type::normal && model_.byte_fallback &&
                          model_.algorithm == SentencePieceFile::Algorithm::bpe;
    if (!harmless)
      fail("spm.piece", id, "no NUL, but for the character alone in BPE with byte fallback", quoted(id));
  }

  void check_unknown() const {
    std::vector<size_t> found;
    for (size_t id = 0; id < model_.pieces.size(); ++id) {
      if (model_.pieces[id].type == Type::unknown) found.push_back(id);
    }
    const auto fail_unknown = [&](const std::string& expected, const std::string& what) {
      throw Error({"spm.unk", file_, place_ + "s", expected, what, ""});
    };
    if (found.empty()) fail_unknown("one piece of type \"unknown\"", "none");
    if (found.size() > 1) {
      fail_unknown("one piece of type \"unknown\"",
                   "ids " + std::to_string(found[0]) + " and " + std::to_string(found[1]));
    }
    if (model_.unknown_id < 0 || found[0] != static_cast<size_t>(model_.unknown_id)) {
      fail_unknown("unk_id to be the id of the unknown piece, " + std::to_string(found[0]),
                   std::to_string(model_.unknown_id));
    }
    if (model_.unknown_surface.size() > kMaxPieceBytes || utf8::find_invalid(model_.unknown_surface)) {
      fail_unknown("unk_surface of at most " + std::to_string(kMaxPieceBytes) + " bytes of UTF-8",
                   "\"" + escape_untrusted(model_.unknown_surface, 80) + "\"");
    }
  }

  void check_bytes(const std::unordered_set<std::string_view>& texts) const {
    std::unordered_set<std::string> names;
    for (unsigned b = 0; b < 256; ++b) names.insert(byte_piece(b));
    for (size_t id = 0; id < model_.pieces.size(); ++id) {
      const auto& piece = model_.pieces[id];
      const bool named = names.contains(piece.text);
      if (piece.type == Type::byte && !model_.byte_fallback)
        fail("spm.byte_piece", id, "no byte pieces without byte_fallback", quoted(id));
      if (piece.type == Type::byte && !named) fail("spm.byte_piece", id, "<0x00> to <0xFF>", quoted(id));
      if (model_.byte_fallback && named && piece.type != Type::byte)
        fail("spm.byte_piece", id, "the type \"byte\"",
             quoted(id) + " with type " + std::to_string(static_cast<int>(piece.type)));
    }
    if (!model_.byte_fallback) return;
    for (unsigned b = 0; b < 256; ++b) {
      if (texts.contains(byte_piece(b))) continue;
      throw Error({"spm.byte_piece", file_, place_ + "s", "a piece for each byte, as byte_fallback says",
                   "no " + byte_piece(b), "Some prompts could not be encoded"});
    }
  }

  // In order of bytes the symbols that a symbol begins with stand before it, the longest last.
  void check_symbols() const {
    std::vector<std::pair<std::string_view, size_t>> symbols;
    for (size_t id = 0; id < model_.pieces.size(); ++id) {
      if (model_.pieces[id].type == Type::user_defined) symbols.emplace_back(model_.pieces[id].text, id);
    }
    std::sort(symbols.begin(), symbols.end());
    std::vector<std::string_view> open;
    for (const auto& [text, id] : symbols) {
      while (!open.empty() && !text.starts_with(open.back())) open.pop_back();
      open.push_back(text);
      if (open.size() > kMaxNestedSymbols) {
        fail("spm.piece", id,
             "at most " + std::to_string(kMaxNestedSymbols) + " user-defined symbols that begin alike",
             quoted(id));
      }
    }
  }

  const SentencePieceFile& model_;
  const std::string& file_;
  const std::string& place_;
};

}  // namespace

void check_pieces(const SentencePieceFile& model, const std::string& file, const std::string& place) {
  PieceCheck(model, file, place).run();
}

}  // namespace safetylock
