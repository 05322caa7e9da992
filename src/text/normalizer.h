// Normalisation of text before pre-tokenisation, with the place in the original text of every byte.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

enum class NormalizerKind {
  none,
  nfc,        ///< Unicode normalization form C
  metaspace,  ///< every space becomes U+2581, as sentencepiece vocabularies spell it
};

/// U+2581.
constexpr std::string_view kMetaspace = "\xE2\x96\x81";

std::string_view name_of(NormalizerKind kind) noexcept;

struct ByteRange {
  size_t begin;
  size_t end;
};

/// Text, normalised or as it was, that knows which original bytes each part stands for. Ranges are always
/// whole characters of the original, as in Hugging Face's NormalizedString.
class NormalizedText {
 public:
  /// `original` must be valid UTF-8 and outlive this; `base` is added to every range.
  NormalizedText(NormalizerKind kind, std::string_view original, size_t base);
  /// As NormalizerKind::metaspace; with `prefix`, a U+2581 in the place of the first character is put before
  /// a text that does not begin with one.
  static NormalizedText with_metaspace(std::string_view original, size_t base, bool prefix);

  std::string_view text() const noexcept { return changed_ ? std::string_view(normalized_) : original_; }
  /// The original bytes for normalised bytes [begin, end); none, at their place, for none.
  ByteRange original_range(size_t begin, size_t end) const noexcept;

 private:
  void apply_nfc();
  void apply_metaspace(bool prefix);

  std::string_view original_;
  size_t base_;
  bool changed_ = false;
  std::string normalized_;
  std::vector<ByteRange> alignment_;  // of each byte of normalized_, without base_
};

}  // namespace safetylock
