#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/utf8.h"
#include "text/unicode.h"

namespace safetylock {
namespace {

// A character on its way through normalisation. `change` counts as in Hugging Face's NormalizedString: 0, it
// takes the place of one original character; 1, it is additional; -n, it takes the place of 1 + n.
struct Change {
  char32_t c;
  int change;
};

unsigned combining_class(char32_t c) {
  const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
  return static_cast<unsigned>(property->combining_class);
}

// The primary composite of two characters.
std::optional<char32_t> compose(char32_t a, char32_t b) {
  // utf8proc 2.8 takes U+11A7, one before the first trailing jamo, for one and swallows it.
  if (b == 0x11A7) return std::nullopt;
  std::array<utf8proc_int32_t, 2> pair{static_cast<utf8proc_int32_t>(a), static_cast<utf8proc_int32_t>(b)};
  const auto length = utf8proc_normalize_utf32(
      pair.data(), 2, static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  if (length != 1) return std::nullopt;
  return static_cast<char32_t>(pair[0]);
}

// Full canonical decomposition in canonical order.
std::vector<Change> decompose(std::string_view text) {
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
  std::vector<Change> out;
  out.reserve(text.size());
  size_t marks = 0;  // index of the first mark after the last starter
  const auto sort_marks = [&] {
    if (out.size() - marks < 2) return;
    std::stable_sort(
        out.begin() + static_cast<std::ptrdiff_t>(marks), out.end(),
        [](const Change& a, const Change& b) { return combining_class(a.c) < combining_class(b.c); });
  };
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text.substr(i));
    i += d.length;
    std::array<utf8proc_int32_t, 4> parts{};
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(d.code_point), parts.data(),
                                               parts.size(), kOptions, nullptr);
    for (utf8proc_ssize_t k = 0; k < count; ++k) {
      const auto c = static_cast<char32_t>(parts[static_cast<size_t>(k)]);
      const bool is_starter = combining_class(c) == 0;
      if (is_starter) sort_marks();
      out.push_back({c, k == 0 ? 0 : 1});
      if (is_starter) marks = out.size();
    }
  }
  sort_marks();
  return out;
}

// Canonical composition (Unicode standard D117): a mark joins the last starter unless one of the same or a
// higher class stands between.
std::vector<Change> recompose(const std::vector<Change>& decomposed) {
  std::vector<Change> out;
  out.reserve(decomposed.size());
  std::optional<size_t> starter;  // index in out
  unsigned last_class = 0;        // of the marks between it and here; 0 when there are none
  for (const Change& next : decomposed) {
    const unsigned mark = combining_class(next.c);
    if (starter && (last_class == 0 || last_class < mark)) {
      if (const auto composite = compose(out[*starter].c, next.c)) {
        out[*starter] = {*composite, out[*starter].change + next.change - 1};
        continue;
      }
    }
    if (mark == 0) starter = out.size();
    last_class = mark;
    out.push_back(next);
  }
  return out;
}

// Below U+0300 nothing combines and every decomposition composes back.
bool is_inert(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char b) { return static_cast<unsigned char>(b) < 0xCC; });
}

}  // namespace

std::string_view name_of(NormalizerKind kind) noexcept {
  switch (kind) {
    case NormalizerKind::nfc:
      return "nfc";
    case NormalizerKind::metaspace:
      return "metaspace";
    case NormalizerKind::none:
      break;
  }
  return "none";
}

NormalizedText::NormalizedText(NormalizerKind kind, std::string_view original, size_t base)
    : original_(original), base_(base) {
  if (kind == NormalizerKind::nfc && !is_inert(original)) apply_nfc();
  if (kind == NormalizerKind::metaspace) apply_metaspace(false);
}

NormalizedText NormalizedText::with_metaspace(std::string_view original, size_t base, bool prefix) {
  NormalizedText text(NormalizerKind::none, original, base);
  text.apply_metaspace(prefix);
  return text;
}

void NormalizedText::apply_metaspace(bool prefix) {
  const bool has_prefix =
      original_.empty() || original_.starts_with(' ') || original_.starts_with(kMetaspace);
  if ((!prefix || has_prefix) && original_.find(' ') == std::string_view::npos) return;
  changed_ = true;
  normalized_.reserve(original_.size() + original_.size() / 2);
  alignment_.reserve(original_.size() + original_.size() / 2);
  if (prefix && !has_prefix) {
    normalized_ = kMetaspace;
    alignment_.resize(normalized_.size(), {0, unicode::character_end(original_, 0)});
  }
  for (size_t at = 0; at < original_.size();) {
    const size_t end = unicode::character_end(original_, at);
    normalized_ += original_[at] == ' ' ? kMetaspace : original_.substr(at, end - at);
    alignment_.resize(normalized_.size(), {at, end});
    at = end;
  }
}

void NormalizedText::apply_nfc() {
  changed_ = true;
  size_t at = 0;  // next original character
  for (const Change& c : recompose(decompose(original_))) {
    // As in Hugging Face, a character that replaces several has the place of the first of them, and an
    // additional one that of the original character before `at`.
    ByteRange place{0, 0};
    if (c.change <= 0) {
      place = {at, unicode::character_end(original_, at)};
      for (int n = 0; n <= -c.change; ++n) at = unicode::character_end(original_, at);
    } else if (at > 0) {
      place = {unicode::character_begin(original_, at - 1), at};
    }
    utf8::append(normalized_, c.c);
    alignment_.resize(normalized_.size(), place);
  }
}

ByteRange NormalizedText::original_range(size_t begin, size_t end) const noexcept {
  if (begin == end) {
    const bool at_end = begin == text().size();
    const size_t at = at_end ? base_ + original_.size() : original_range(begin, begin + 1).begin;
    return {at, at};
  }
  if (changed_) return {base_ + alignment_[begin].begin, base_ + alignment_[end - 1].end};
  return {base_ + unicode::character_begin(original_, begin),
          base_ + unicode::character_end(original_, end - 1)};
}

}  // namespace safetylock
