// PCRE2 behind two small classes: a compiled pattern, shared by threads, and a matcher, one per thread.
// Internal: patterns are always constants of ours, never text from a file.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace safetylock {

class Regex {
 public:
  /// Compiles `pattern` with Unicode properties, and to machine code where the host allows it.
  explicit Regex(const std::string& pattern);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

 private:
  friend class RegexMatcher;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class RegexMatcher {
 public:
  struct Match {
    size_t begin;
    size_t end;
  };

  /// `regex` must outlive this.
  explicit RegexMatcher(const Regex& regex);
  ~RegexMatcher();
  RegexMatcher(RegexMatcher&&) noexcept;

  /// Leftmost match in valid UTF-8 `text` from byte `from` (a character boundary) on. Throws Error bpe.regex
  /// when PCRE2 gives up for lack of memory.
  std::optional<Match> find(std::string_view text, size_t from);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// `pattern` with \s and \S replaced by the list of White_Space, where PCRE2 and Oniguruma (the engine of
/// Hugging Face's wheels) differ. Knows \s, \S and bracket classes; nothing else needs it.
std::string with_explicit_white_space(std::string_view pattern);

}  // namespace safetylock
