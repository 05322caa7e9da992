#include "text/bpe_model.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <string>

namespace safetylock {

BpeModel::BpeModel(Vocabulary vocabulary, bool ignore_merges)
    : vocabulary_(std::move(vocabulary)), ignore_merges_(ignore_merges) {
  for (unsigned b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    const auto id = vocabulary_.find({&byte, 1});
    byte_ids_[b] = id ? static_cast<std::uint32_t>(*id) : kNone;
  }
}

std::optional<TokenId> BpeModel::byte_token(unsigned char byte) const noexcept {
  if (byte_ids_[byte] == kNone) return std::nullopt;
  return TokenId{byte_ids_[byte]};
}

void BpeModel::reserve_merges(size_t count) {
  merges_.reserve(count);
  results_.reserve(count);
  index_.assign(std::bit_ceil(2 * count + 2), Slot{0, 0, kNone});
}

MergeError BpeModel::add_merge(TokenId left, TokenId right) {
  const Merge m{static_cast<std::uint32_t>(left), static_cast<std::uint32_t>(right)};
  const auto joined = vocabulary_.find(std::string(vocabulary_.bytes(left)).append(vocabulary_.bytes(right)));
  if (!joined) return MergeError::unknown_result;
  if (index_.size() < 2 * (merges_.size() + 1)) grow();
  Slot& slot = index_[slot_of(m.left, m.right)];
  if (slot.rank != kNone) return MergeError::duplicate;
  slot = {m.left, m.right, static_cast<std::uint32_t>(merges_.size())};
  merges_.push_back(m);
  results_.push_back(static_cast<std::uint32_t>(*joined));
  return MergeError::none;
}

size_t BpeModel::slot_of(std::uint32_t left, std::uint32_t right) const noexcept {
  const size_t mask = index_.size() - 1;
  const std::uint64_t key = std::uint64_t{left} << 32 | right;
  // Fibonacci hashing: the high half of the product depends on all bits of the key.
  size_t slot = static_cast<size_t>((key * 0x9E3779B97F4A7C15ULL) >> 32) & mask;
  while (index_[slot].rank != kNone && (index_[slot].left != left || index_[slot].right != right)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

void BpeModel::grow() {
  const std::vector<Slot> old = std::move(index_);
  index_.assign(std::bit_ceil(4 * (merges_.size() + 1)), Slot{0, 0, kNone});
  for (const Slot& s : old) {
    if (s.rank != kNone) index_[slot_of(s.left, s.right)] = s;
  }
}

std::uint32_t BpeModel::rank_of(std::uint32_t left, std::uint32_t right) const noexcept {
  return index_.empty() ? kNone : index_[slot_of(left, right)].rank;
}

void BpeModel::encode(std::string_view word, Scratch& scratch, std::vector<Token>& out) const {
  if (ignore_merges_) {
    if (const auto whole = vocabulary_.find(word)) {
      out.push_back({*whole, 0, word.size()});
      return;
    }
  }
  split_bytes(word, scratch);
  if (scratch.symbols_.empty()) return;
  merge(scratch);
  for (std::uint32_t i = 0; i != kNone; i = scratch.symbols_[i].next) {
    const auto& s = scratch.symbols_[i];
    out.push_back({TokenId{s.id}, s.begin, s.end});
  }
}

void BpeModel::split_bytes(std::string_view word, Scratch& scratch) const {
  auto& symbols = scratch.symbols_;
  symbols.clear();
  for (std::uint32_t i = 0; i < word.size(); ++i) {
    const std::uint32_t id = byte_ids_[static_cast<unsigned char>(word[i])];
    if (id == kNone) continue;
    const auto position = static_cast<std::uint32_t>(symbols.size());
    symbols.push_back({id, kNone, position - 1, position + 1, i, i + 1});
  }
  if (symbols.empty()) return;
  symbols.front().previous = kNone;
  symbols.back().next = kNone;
}

void BpeModel::push_candidate(Scratch& scratch, std::uint32_t position) const {
  auto& symbol = scratch.symbols_[position];
  symbol.rank = symbol.next == kNone ? kNone : rank_of(symbol.id, scratch.symbols_[symbol.next].id);
  if (symbol.rank == kNone) return;
  scratch.heap_.push_back(std::uint64_t{symbol.rank} << 32 | position);
}

// Takes the lowest rank first, the leftmost of equal ones. A candidate whose pair has changed since it was
// pushed is recognised by its rank and dropped. A merge removes a symbol and pushes at most two candidates.
void BpeModel::merge(Scratch& scratch) const {
  auto& symbols = scratch.symbols_;
  auto& heap = scratch.heap_;
  heap.clear();
  for (std::uint32_t i = 0; i + 1 < symbols.size(); ++i) push_candidate(scratch, i);
  std::make_heap(heap.begin(), heap.end(), std::greater<>{});
  const auto sift_last = [&](size_t size_before) {
    if (heap.size() > size_before) std::push_heap(heap.begin(), heap.end(), std::greater<>{});
  };
  while (!heap.empty()) {
    ++scratch.operations_;
    std::pop_heap(heap.begin(), heap.end(), std::greater<>{});
    const std::uint64_t top = heap.back();
    heap.pop_back();
    const auto rank = static_cast<std::uint32_t>(top >> 32);
    const auto position = static_cast<std::uint32_t>(top);
    auto& left = symbols[position];
    if (left.rank != rank) continue;
    auto& right = symbols[left.next];
    right.rank = kNone;  // swallowed: its own candidate is stale
    left.id = results_[rank];
    left.end = right.end;
    left.next = right.next;
    if (left.next != kNone) symbols[left.next].previous = position;
    size_t before = heap.size();
    push_candidate(scratch, position);
    sift_last(before);
    if (left.previous != kNone) {
      before = heap.size();
      push_candidate(scratch, left.previous);
      sift_last(before);
    }
  }
}

}  // namespace safetylock
