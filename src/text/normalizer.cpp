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

// The next state of a text, made from front to back.
class NormalizedText::Rewriting {
 public:
  explicit Rewriting(NormalizedText& text) : target_(text) {
    const size_t expected = text.text().size() + text.text().size() / 2;
    text_.reserve(expected);
    alignment_.reserve(expected);
  }

  /// Appends what stands for bytes [begin, end) of the text so far.
  void put(std::string_view bytes, size_t begin, size_t end) {
    text_ += bytes;
    alignment_.resize(text_.size(), target_.place_of(begin, end));
  }
  /// Appends bytes [begin, end) as they are.
  void keep(size_t begin, size_t end) {
    const std::string_view old = target_.text();
    for (size_t at = begin; at < end;) {
      const size_t next = unicode::character_end(old, at);
      put(old.substr(at, next - at), at, next);
      at = next;
    }
  }
  void finish() {
    target_.normalized_ = std::move(text_);
    target_.alignment_ = std::move(alignment_);
    target_.changed_ = true;
  }

 private:
  NormalizedText& target_;
  std::string text_;
  std::vector<ByteRange> alignment_;
};

void NormalizedText::replace(std::string_view wanted, std::string_view content) {
  const std::string_view old = text();
  size_t found = old.find(wanted);
  if (found == std::string_view::npos) return;
  Rewriting next(*this);
  size_t done = 0;
  for (; found != std::string_view::npos; found = old.find(wanted, done)) {
    next.keep(done, found);
    done = found + wanted.size();
    next.put(content, unicode::character_begin(old, done - 1), done);  // the last character replaced
  }
  next.keep(done, old.size());
  next.finish();
}

void NormalizedText::prepend(std::string_view content) {
  if (text().empty()) return;
  Rewriting next(*this);
  next.put(content, 0, unicode::character_end(text(), 0));
  next.keep(0, text().size());
  next.finish();
}

void NormalizedText::compose() {
  const std::string_view old = text();
  if (is_inert(old)) return;
  Rewriting next(*this);
  std::string character;
  size_t at = 0;  // next character of the text so far
  for (const Change& c : recompose(decompose(old))) {
    character.clear();
    utf8::append(character, c.c);
    // As in Hugging Face, a character that replaces several has the place of the first of them, and an
    // additional one that of the character before `at`.
    if (c.change <= 0) {
      next.put(character, at, unicode::character_end(old, at));
      for (int n = 0; n <= -c.change; ++n) at = unicode::character_end(old, at);
    } else {
      next.put(character, at == 0 ? 0 : unicode::character_begin(old, at - 1), at);
    }
  }
  next.finish();
}

ByteRange NormalizedText::place_of(size_t begin, size_t end) const noexcept {
  if (begin == end) {
    const size_t at = begin == text().size() ? original_.size() : place_of(begin, begin + 1).begin;
    return {at, at};
  }
  if (changed_) return {alignment_[begin].begin, alignment_[end - 1].end};
  return {unicode::character_begin(original_, begin), unicode::character_end(original_, end - 1)};
}

ByteRange NormalizedText::original_range(size_t begin, size_t end) const noexcept {
  const ByteRange place = place_of(begin, end);
  return {base_ + place.begin, base_ + place.end};
}

void spell_spaces(NormalizedText& text, PrefixSpace prefix, bool at_start) {
  text.replace(" ", kMetaspace);
  const bool wanted = prefix == PrefixSpace::always || (prefix == PrefixSpace::first && at_start);
  if (wanted && !text.text().starts_with(kMetaspace)) text.prepend(kMetaspace);
}

Normalizer Normalizer::nfc() {
  return Normalizer({{Step::Kind::compose, "", ""}});
}

Normalizer Normalizer::metaspace() {
  return Normalizer({{Step::Kind::replace, " ", std::string(kMetaspace)}});
}

Normalizer Normalizer::prepended_metaspace() {
  return Normalizer({{Step::Kind::prepend, "", std::string(kMetaspace)},
                     {Step::Kind::replace, " ", std::string(kMetaspace)}});
}

NormalizedText Normalizer::operator()(std::string_view text, size_t base) const {
  NormalizedText out(text, base);
  for (const Step& step : steps_) {
    switch (step.kind) {
      case Step::Kind::compose:
        out.compose();
        break;
      case Step::Kind::replace:
        out.replace(step.wanted, step.content);
        break;
      case Step::Kind::prepend:
        out.prepend(step.content);
        break;
    }
  }
  return out;
}

std::string Normalizer::name() const {
  std::string out;
  // Lengths keep two lists of steps from having one name.
  const auto quoted = [](const std::string& text) { return std::to_string(text.size()) + ":" + text; };
  for (const Step& step : steps_) {
    if (!out.empty()) out += ", ";
    const bool metaspace = step.wanted == " " && step.content == kMetaspace;
    switch (step.kind) {
      case Step::Kind::compose:
        out += "nfc";
        break;
      case Step::Kind::replace:
        out += metaspace ? "metaspace" : "replace " + quoted(step.wanted) + " by " + quoted(step.content);
        break;
      case Step::Kind::prepend:
        out += "prepend " + quoted(step.content);
        break;
    }
  }
  return out.empty() ? "none" : out;
}

}  // namespace safetylock
