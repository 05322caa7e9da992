// Pre-tokenizers: cut text into the words within which BPE may merge.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace safetylock {

enum class PreTokenizerKind {
  gpt2,    ///< GPT-2's pattern
  smollm,  ///< every digit alone, then GPT-2's pattern between them
  llama3,  ///< digits in runs of at most three
  qwen2,   ///< as llama3, digits one by one
  tekken,  ///< words end where small letters are followed by capitals; digits one by one
  gpt4o,   ///< as tekken, with contractions and digits in runs of at most three
};

/// Stable name, part of the tokenizer digest.
std::string_view name_of(PreTokenizerKind kind) noexcept;

/// The kind whose pattern is `regex`, character for character: a file's pattern only selects one of ours.
std::optional<PreTokenizerKind> pretokenizer_of_regex(std::string_view regex) noexcept;

/// The pattern of `kind`, as tokenizer.json spells it; of smollm, the one that is used between digits.
std::string_view pattern_of(PreTokenizerKind kind) noexcept;

/// Cuts text; one per thread, cheap to make.
class PreTokenizer {
 public:
  explicit PreTokenizer(PreTokenizerKind kind);

  /// Calls `visit(begin, end)` for each word of valid UTF-8 `text`, in order; words tile the text.
  template <typename Visitor>
  void for_each_word(std::string_view text, Visitor&& visit) {
    if (!digits_) {
      cut(words_, text, 0, visit);
      return;
    }
    cut(*digits_, text, 0,
        [&](size_t begin, size_t end) { cut(words_, text.substr(begin, end - begin), begin, visit); });
  }

 private:
  // Every match of `matcher` is a piece, and so is every gap between matches.
  template <typename Visitor>
  static void cut(RegexMatcher& matcher, std::string_view text, size_t base, Visitor&& visit) {
    for (size_t at = 0; at < text.size();) {
      const auto match = matcher.find(text, at);
      if (!match) {
        visit(base + at, base + text.size());
        return;
      }
      if (match->begin > at) visit(base + at, base + match->begin);
      visit(base + match->begin, base + match->end);
      at = match->end;
    }
  }

  std::optional<RegexMatcher> digits_;
  RegexMatcher words_;
};

}  // namespace safetylock
