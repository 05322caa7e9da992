// Normalisation of text before pre-tokenisation, with the place in the original text of every byte.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

/// U+2581: how sentencepiece vocabularies spell a space.
constexpr std::string_view kMetaspace = "\xE2\x96\x81";

struct ByteRange {
  size_t begin;
  size_t end;
};

/// Text on its way through normalisation that knows which original bytes each part stands for. Ranges are
/// always whole characters of the original, as in Hugging Face's NormalizedString, and so is the place that
/// each operation gives to a character it makes.
class NormalizedText {
 public:
  /// `original` must be valid UTF-8 and outlive this; `base` is added to every range.
  NormalizedText(std::string_view original, size_t base) : original_(original), base_(base) {}

  /// Unicode normalization form C.
  void compose();
  /// Puts `content` in the place of every `wanted`, which is not empty.
  void replace(std::string_view wanted, std::string_view content);
  /// Puts `content` before the text, unless that is empty.
  void prepend(std::string_view content);

  std::string_view text() const noexcept { return changed_ ? std::string_view(normalized_) : original_; }
  /// The original bytes for normalised bytes [begin, end); none, at their place, for none.
  ByteRange original_range(size_t begin, size_t end) const noexcept;

 private:
  class Rewriting;
  ByteRange place_of(size_t begin, size_t end) const noexcept;  // as original_range, without base_

  std::string_view original_;
  size_t base_;
  bool changed_ = false;
  std::string normalized_;
  std::vector<ByteRange> alignment_;  // of each byte of normalized_, without base_
};

/// Where a U+2581 is put before a text that does not begin with one.
enum class PrefixSpace {
  never,
  first,   ///< at the start of the whole text
  always,  ///< also behind every added token
};

/// Spells spaces as U+2581. `at_start`: no text stands before this one.
void spell_spaces(NormalizedText& text, PrefixSpace prefix, bool at_start);

/// What a tokenizer does to text before it looks for tokens: steps, one after another.
class Normalizer {
 public:
  /// One operation of NormalizedText.
  struct Step {
    enum class Kind { compose, replace, prepend } kind;
    std::string wanted;   ///< of replace
    std::string content;  ///< of replace and prepend
  };

  Normalizer() = default;
  explicit Normalizer(std::vector<Step> steps) : steps_(std::move(steps)) {}
  static Normalizer nfc();
  /// Every space becomes U+2581.
  static Normalizer metaspace();
  /// A U+2581 is put in front, then as metaspace.
  static Normalizer prepended_metaspace();

  /// `text` must be valid UTF-8 and outlive the result; `base` is added to every range.
  NormalizedText operator()(std::string_view text, size_t base = 0) const;
  /// Tells normalizers apart in the tokenizer digest.
  std::string name() const;

 private:
  std::vector<Step> steps_;
};

}  // namespace safetylock
