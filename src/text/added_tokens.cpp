#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"

namespace safetylock {

StringMatcher::StringMatcher(const std::vector<std::string>& strings) : nodes_(1) {
  for (size_t i = 0; i < strings.size(); ++i) {
    std::uint32_t node = 0;
    for (const char c : strings[i]) {
      const auto byte = static_cast<unsigned char>(c);
      std::uint32_t next = step(node, byte);
      if (next == kNone) {
        next = static_cast<std::uint32_t>(nodes_.size());
        nodes_[node].next.emplace_back(byte, next);
        nodes_.emplace_back();
      }
      node = next;
    }
    nodes_[node].string = static_cast<std::uint32_t>(i);
    starts_[static_cast<unsigned char>(strings[i].front())] = true;
  }
}

std::uint32_t StringMatcher::step(std::uint32_t node, unsigned char byte) const noexcept {
  for (const auto& [edge, next] : nodes_[node].next) {
    if (edge == byte) return next;
  }
  return kNone;
}

std::optional<StringMatcher::Match> StringMatcher::find(std::string_view text, size_t from,
                                                        const Accept& accept) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!starts_[static_cast<unsigned char>(text[begin])]) continue;
    std::optional<Match> longest;
    std::uint32_t node = 0;
    for (size_t i = begin; i < text.size(); ++i) {
      node = step(node, static_cast<unsigned char>(text[i]));
      if (node == kNone) break;
      if (nodes_[node].string == kNone) continue;
      const Match match{begin, i + 1, nodes_[node].string};
      if (!accept || accept(match)) longest = match;
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer)
    : tokens_([&] {
        std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
        return std::move(tokens);
      }()),
      raw_(make_set(tokens_, false, normalizer)),
      normalized_(make_set(tokens_, true, normalizer)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    by_id_.emplace(tokens_[i].id, i);
    by_content_.emplace(tokens_[i].content, i);
  }
}

AddedTokens::Set AddedTokens::make_set(const std::vector<AddedToken>& tokens, bool normalized,
                                       const Normalizer& normalizer) {
  std::vector<size_t> indices;
  std::vector<std::string> strings;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].normalized != normalized) continue;
    indices.push_back(i);
    strings.emplace_back(normalized ? std::string(normalizer(tokens[i].content).text()) : tokens[i].content);
  }
  return {std::move(indices), StringMatcher(strings)};
}

const AddedToken* AddedTokens::find(TokenId id) const noexcept {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &tokens_[it->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const noexcept {
  const auto it = by_content_.find(content);
  return it == by_content_.end() ? nullptr : &tokens_[it->second];
}

// Follows tokenizers' AddedVocabulary::find_matches, oddities included: a match that is passed over (inside a
// word, or a control token when those are not wanted) still hides shorter ones within it.
std::vector<AddedTokens::Piece> AddedTokens::cut(std::string_view text, bool normalized,
                                                 const Rules& rules) const {
  const Set& set = normalized ? normalized_ : raw_;
  StringMatcher::Accept accept;
  if (rules.may_be_special) {
    accept = [&](const StringMatcher::Match& m) {
      return !tokens_[set.tokens[m.index]].control || rules.may_be_special(m.begin, m.end);
    };
  }
  std::vector<Piece> pieces;
  size_t done = 0;
  size_t from = 0;
  while (const auto match = set.matcher.find(text, from, accept)) {
    from = match->end;
    const AddedToken& token = tokens_[set.tokens[match->index]];
    if (token.control && !rules.parse_special) continue;
    size_t begin = match->begin;
    size_t end = match->end;
    if (token.single_word &&
        (unicode::ends_with_word(text.substr(0, begin)) || unicode::starts_with_word(text.substr(end)))) {
      continue;
    }
    if (token.lstrip) begin = std::max(begin - unicode::trailing_white_space(text.substr(0, begin)), done);
    if (token.rstrip) end += unicode::leading_white_space(text.substr(end));
    if (done < begin) pieces.push_back({done, begin, nullptr});
    pieces.push_back({begin, end, &token});
    done = end;
  }
  if (done != text.size()) pieces.push_back({done, text.size(), nullptr});
  return pieces;
}

}  // namespace safetylock
