// The model's tokens as byte strings, and their ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "safetylock/tokenizer.h"

namespace safetylock {

/// Immutable once filled. One arena of bytes and an open-addressing index: 150,000 tokens take milliseconds.
class Vocabulary {
 public:
  void reserve(size_t tokens, size_t bytes);
  /// Gives `bytes` the next id. False, and nothing added, when a token of these bytes is there already.
  bool append(std::string_view bytes);
  /// Gives the next id to an entry that only an added token may spell: `find` never answers it.
  void append_unsearchable(std::string_view bytes);

  size_t size() const noexcept { return ends_.size(); }
  /// Valid until the next append.
  std::string_view bytes(TokenId id) const noexcept;
  std::optional<TokenId> find(std::string_view bytes) const noexcept;

 private:
  size_t slot_of(std::string_view bytes) const noexcept;  // where it is or would be
  void grow();
  void push(std::string_view bytes);

  std::string arena_;
  std::vector<std::uint64_t> ends_;   // of each token in the arena
  std::vector<std::uint32_t> index_;  // id + 1; 0: free. Size is a power of two
  size_t searchable_ = 0;
};

}  // namespace safetylock
