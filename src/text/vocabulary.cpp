#include "text/vocabulary.h"

#include <bit>
#include <functional>

namespace safetylock {

void Vocabulary::reserve(size_t tokens, size_t bytes) {
  arena_.reserve(bytes);
  ends_.reserve(tokens);
  index_.assign(std::bit_ceil(2 * tokens + 2), 0);
}

bool Vocabulary::append(std::string_view bytes) {
  if (index_.size() < 2 * (searchable_ + 1)) grow();
  const size_t slot = slot_of(bytes);
  if (index_[slot] != 0) return false;
  push(bytes);
  index_[slot] = static_cast<std::uint32_t>(size());
  ++searchable_;
  return true;
}

void Vocabulary::append_unsearchable(std::string_view bytes) {
  push(bytes);
}

void Vocabulary::push(std::string_view bytes) {
  arena_.append(bytes);
  ends_.push_back(arena_.size());
}

std::string_view Vocabulary::bytes(TokenId id) const noexcept {
  const auto i = static_cast<size_t>(id);
  const size_t begin = i == 0 ? 0 : ends_[i - 1];
  return std::string_view(arena_).substr(begin, ends_[i] - begin);
}

std::optional<TokenId> Vocabulary::find(std::string_view bytes) const noexcept {
  if (index_.empty()) return std::nullopt;
  const std::uint32_t entry = index_[slot_of(bytes)];
  if (entry == 0) return std::nullopt;
  return TokenId{entry} - 1;
}

size_t Vocabulary::slot_of(std::string_view wanted) const noexcept {
  const size_t mask = index_.size() - 1;
  size_t slot = std::hash<std::string_view>{}(wanted)&mask;
  while (index_[slot] != 0 && bytes(TokenId{index_[slot]} - 1) != wanted) slot = (slot + 1) & mask;
  return slot;
}

void Vocabulary::grow() {
  const std::vector<std::uint32_t> old = std::move(index_);
  index_.assign(std::bit_ceil(4 * (searchable_ + 1)), 0);
  for (const std::uint32_t entry : old) {
    if (entry != 0) index_[slot_of(bytes(TokenId{entry} - 1))] = entry;
  }
}

}  // namespace safetylock
