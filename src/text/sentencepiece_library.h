// The sentencepiece library behind a door: nothing else includes it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/sentencepiece_file.h"
#include "text/subword_model.h"

namespace safetylock {

/// Longest text of one call: the library needs over 100 bytes of memory for each of it.
constexpr size_t kMaxSentencePieceText = size_t{4} << 20;

/// Immutable; encode from any thread.
class SentencePieceLibrary {
 public:
  /// `model` has passed check_pieces and, with a charsmap, check_charsmap. Throws spm.library with the
  /// library's own words for a model that it refuses; `file` labels the error.
  SentencePieceLibrary(const SentencePieceFile& model, const std::string& file);
  ~SentencePieceLibrary();
  SentencePieceLibrary(SentencePieceLibrary&&) noexcept;
  SentencePieceLibrary& operator=(SentencePieceLibrary&&) noexcept;

  /// Appends the tokens of valid UTF-8 `text` with the library's own offsets: of the bytes that one character
  /// falls back to only the last has a range that is not empty. Throws limit.text.
  void encode(std::string_view text, std::vector<SubwordToken>& out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace safetylock
