#include "text/bpe_model.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <string>

#include "text/byte_piece.h"
#include "text/tokenizer_digest.h"
#include "text/unicode.h"

namespace safetylock {

BpeModel::BpeModel(Vocabulary vocabulary, BpeAlphabet alphabet, bool ignore_merges)
    : vocabulary_(std::move(vocabulary)), alphabet_(alphabet), ignore_merges_(ignore_merges) {
  for (unsigned b = 0; b < 256; ++b) {
    const auto id = vocabulary_.find(alphabet == BpeAlphabet::bytes ? std::string(1, static_cast<char>(b))
                                                                    : byte_piece(b));
    byte_ids_[b] = id ? static_cast<std::uint32_t>(*id) : kNone;
  }
}

void BpeModel::forbid(TokenId id) {
  const auto i = static_cast<size_t>(id);
  if (forbidden_.size() <= i) forbidden_.resize(i + 1);
  forbidden_[i] = true;
}

bool BpeModel::is_forbidden(TokenId id) const noexcept {
  return static_cast<size_t>(id) < forbidden_.size() && forbidden_[static_cast<size_t>(id)];
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
  if (is_forbidden(left) || is_forbidden(right) || is_forbidden(*joined)) return MergeError::none;
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
    if (const auto whole = vocabulary_.find(word); whole && !is_forbidden(*whole)) {
      out.push_back({*whole, 0, word.size()});
      return;
    }
  }
  split(word, scratch);
  if (scratch.symbols_.empty()) return;
  merge(scratch);
  for (std::uint32_t i = 0; i != kNone; i = scratch.symbols_[i].next) {
    const auto& s = scratch.symbols_[i];
    out.push_back({TokenId{s.id}, s.begin, s.end});
  }
}

std::uint32_t BpeModel::character_token(std::string_view character) const noexcept {
  const auto id = vocabulary_.find(character);
  return id && !is_forbidden(*id) ? static_cast<std::uint32_t>(*id) : kNone;
}

void BpeModel::split(std::string_view word, Scratch& scratch) const {
  auto& symbols = scratch.symbols_;
  symbols.clear();
  const auto add = [&](std::uint32_t id, size_t begin, size_t end) {
    if (id == kNone) return;
    const auto position = static_cast<std::uint32_t>(symbols.size());
    symbols.push_back({id, kNone, position - 1, position + 1, static_cast<std::uint32_t>(begin),
                       static_cast<std::uint32_t>(end)});
  };
  for (size_t i = 0; i < word.size();) {
    const size_t end = alphabet_ == BpeAlphabet::bytes ? i + 1 : unicode::character_end(word, i);
    const std::uint32_t whole =
        alphabet_ == BpeAlphabet::bytes ? kNone : character_token(word.substr(i, end - i));
    if (whole != kNone) {
      add(whole, i, end);
    } else {
      for (size_t k = i; k < end; ++k) add(byte_ids_[static_cast<unsigned char>(word[k])], k, k + 1);
    }
    i = end;
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

void BpeModel::write_digest(DigestWriter& out) const {
  out.number(ignore_merges_ ? 1 : 0);
  out.number(vocabulary_.size());
  for (size_t id = 0; id < vocabulary_.size(); ++id) out.text(vocabulary_.bytes(static_cast<TokenId>(id)));
  out.number(merges_.size());
  for (const Merge& merge : merges_) {
    out.number(merge.left);
    out.number(merge.right);
  }
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
