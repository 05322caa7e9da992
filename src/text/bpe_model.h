// Byte-pair encoding of one word (Sennrich et al. 2016) by ranked merges, as Hugging Face's BPE model does
// it: over bytes, or over characters with bytes to fall back to.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "text/subword_model.h"
#include "text/vocabulary.h"

namespace safetylock {

/// Why a merge was not taken.
enum class MergeError { none, unknown_result, duplicate };

/// What a word is cut into before anything is merged.
enum class BpeAlphabet {
  bytes,       ///< each byte is the token of that one byte
  characters,  ///< each character is its token; one without a token is the tokens <0xNN> of its bytes
};

/// Immutable once filled; encode from any thread, each with its own Scratch.
class BpeModel {
 public:
  using Token = SubwordToken;  ///< offsets are bytes of the word

  /// Memory for one encode after another, and the work done in it.
  class Scratch {
   public:
    /// Candidate merges looked at since construction: at most three a byte, however long the word.
    std::uint64_t merge_operations() const noexcept { return operations_; }

   private:
    friend class BpeModel;
    struct Symbol {
      std::uint32_t id;
      std::uint32_t rank;  // of the merge with the next symbol
      std::uint32_t previous, next;
      std::uint32_t begin, end;
    };
    std::vector<Symbol> symbols_;
    std::vector<std::uint64_t> heap_;  // rank << 32 | position
    std::uint64_t operations_ = 0;
  };

  /// `ignore_merges`: a word that is a token as a whole is that token, whatever its merges would give.
  BpeModel(Vocabulary vocabulary, BpeAlphabet alphabet, bool ignore_merges);

  /// Makes `id` a token that no word becomes: not as a whole, not by merging and not as a character. Only an
  /// added token gives it. To be called before merges are added.
  void forbid(TokenId id);

  void reserve_merges(size_t count);
  /// Adds the next merge in rank order: tokens `left` and `right` become the token of their joined bytes. One
  /// with a forbidden token is passed over.
  MergeError add_merge(TokenId left, TokenId right);

  /// Appends the tokens of `word` (at most 2^31 bytes) to `out`. Bytes without a symbol are left out, as
  /// Hugging Face leaves them out when the model has no unknown token.
  void encode(std::string_view word, Scratch& scratch, std::vector<Token>& out) const;

  const Vocabulary& vocabulary() const noexcept { return vocabulary_; }
  BpeAlphabet alphabet() const noexcept { return alphabet_; }
  bool ignore_merges() const noexcept { return ignore_merges_; }
  /// Id of the token that stands for one byte, nothing when the vocabulary lacks it.
  std::optional<TokenId> byte_token(unsigned char byte) const noexcept;

  struct Merge {
    std::uint32_t left, right;
  };
  const std::vector<Merge>& merges() const noexcept { return merges_; }  ///< in rank order

  /// Vocabulary, merges and flags.
  void write_digest(DigestWriter& out) const;

 private:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  std::uint32_t rank_of(std::uint32_t left, std::uint32_t right) const noexcept;
  size_t slot_of(std::uint32_t left, std::uint32_t right) const noexcept;
  void grow();
  bool is_forbidden(TokenId id) const noexcept;
  std::uint32_t character_token(std::string_view character) const noexcept;
  void split(std::string_view word, Scratch& scratch) const;
  void merge(Scratch& scratch) const;
  void push_candidate(Scratch& scratch, std::uint32_t position) const;

  Vocabulary vocabulary_;
  BpeAlphabet alphabet_;
  bool ignore_merges_;
  std::array<std::uint32_t, 256> byte_ids_{};
  std::vector<bool> forbidden_;  // by id; ids past the end are not
  std::vector<Merge> merges_;
  std::vector<std::uint32_t> results_;  // id of the joined token, by rank
  struct Slot {
    std::uint32_t left, right, rank;
  };
  std::vector<Slot> index_;  // open addressing on (left, right); rank kNone: free
};

}  // namespace safetylock
