// Added tokens: found in text before anything else, whole, by leftmost-longest match.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "safetylock/tokenizer.h"
#include "text/normalizer.h"

namespace safetylock {

/// Flags as in tokenizer.json.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  ///< not inside a word
  bool lstrip = false;       ///< takes White_Space to its left with it
  bool rstrip = false;       ///< and to its right
  bool normalized = false;   ///< matched in normalised text, and normalised itself
  bool special = false;      ///< left out by decode on demand
  bool control = false;      ///< a control token: in a chat, only the template may write it
};

/// Finds any of a set of strings.
class StringMatcher {
 public:
  /// `strings` are distinct and not empty; matches are indices into it.
  explicit StringMatcher(const std::vector<std::string>& strings);

  struct Match {
    size_t begin;
    size_t end;
    size_t index;
  };
  /// `accept` says whether a match counts; one that does not hides no other.
  using Accept = std::function<bool(const Match&)>;
  /// The leftmost match from byte `from` on, the longest of those that start there.
  std::optional<Match> find(std::string_view text, size_t from, const Accept& accept) const;

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Node {
    std::uint32_t string = kNone;
    std::vector<std::pair<unsigned char, std::uint32_t>> next;  // a handful of edges
  };
  std::uint32_t step(std::uint32_t node, unsigned char byte) const noexcept;

  std::vector<Node> nodes_;
  std::array<bool, 256> starts_{};
};

class AddedTokens {
 public:
  /// A stretch of text: an added token, or text between them.
  struct Piece {
    size_t begin;
    size_t end;
    const AddedToken* token;  ///< null for text
  };
  /// What may become a token.
  struct Rules {
    bool parse_special = true;  ///< match control tokens: Hugging Face's encode_special_tokens=false
    /// Whether a control token may be read from these bytes of the text that `cut` is given; null: from any.
    std::function<bool(size_t begin, size_t end)> may_be_special;
  };

  /// Contents and ids are distinct (the loaders prove it), also after normalisation.
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer);

  /// Cuts at the tokens with `normalized` false (of raw text) or true (of normalised text).
  std::vector<Piece> cut(std::string_view text, bool normalized, const Rules& rules) const;

  const std::vector<AddedToken>& all() const noexcept { return tokens_; }  ///< by id
  const AddedToken* find(TokenId id) const noexcept;
  const AddedToken* find(std::string_view content) const noexcept;

 private:
  struct Set {
    std::vector<size_t> tokens;  // indices into tokens_
    StringMatcher matcher;
  };
  static Set make_set(const std::vector<AddedToken>& tokens, bool normalized, const Normalizer& normalizer);

  std::vector<AddedToken> tokens_;
  Set raw_;
  Set normalized_;
  std::unordered_map<TokenId, size_t> by_id_;
  std::unordered_map<std::string_view, size_t> by_content_;
};

}  // namespace safetylock
