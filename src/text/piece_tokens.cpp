#include "text/piece_tokens.h"

#include "safetylock/error.h"
#include "text/control_marker.h"

namespace safetylock {

using Type = SentencePieceFile::Type;

PieceTokens::PieceTokens(const SentencePieceFile& model) : model_(model) {
  for (size_t id = 0; id < model.pieces.size(); ++id)
    ids_.emplace(model.pieces[id].text, static_cast<TokenId>(id));
}

void PieceTokens::add(AddedToken token) {
  if (added_.contains(token.content)) return;
  const auto known = ids_.find(token.content);
  const bool fresh = known == ids_.end();
  token.id = fresh ? static_cast<TokenId>(model_.pieces.size() + new_tokens_++) : known->second;
  added_.emplace(token.content, token.id);
  tokens_.push_back(std::move(token));
}

void PieceTokens::add_pieces() {
  for (const auto& piece : model_.pieces) {
    if (piece.type != Type::control && piece.type != Type::user_defined) continue;
    AddedToken token;
    token.content = piece.text;
    token.special = piece.type == Type::control;
    add(std::move(token));
  }
}

std::vector<AddedToken> PieceTokens::take(const std::string& file) {
  for (AddedToken& token : tokens_) {
    token.control = token.special || is_control_marker(token.content);
    const auto id = static_cast<size_t>(token.id);
    if (id >= model_.pieces.size() || model_.pieces[id].type != Type::byte) continue;
    throw Error({"spm.added_token", file, "token \"" + token.content + "\"", "no byte piece", "one", ""});
  }
  return std::move(tokens_);
}

}  // namespace safetylock
