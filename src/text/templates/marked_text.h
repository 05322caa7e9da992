// Text that remembers where each byte came from, and Python's string operations on it.
//
// Offsets are bytes unless a name says "points" (Unicode code points, what Python counts). All text is valid
// UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace safetylock::jinja {

/// Origins are message indexes (>= 0) or RenderedPrompt::kTemplate / kCaller.
int combine_origins(int a, int b);

class MarkedText {
 public:
  struct Run {
    size_t end;  ///< one past the run's last byte; runs tile the text in order, neighbours differ in origin
    int origin;
  };

  MarkedText() = default;
  MarkedText(std::string bytes, int origin);

  const std::string& bytes() const noexcept { return bytes_; }
  const std::vector<Run>& runs() const noexcept { return runs_; }
  size_t size() const noexcept { return bytes_.size(); }
  bool empty() const noexcept { return bytes_.empty(); }

  void append(std::string_view bytes, int origin);
  void append(const MarkedText& other) { append(other, 0, other.size()); }
  void append(const MarkedText& other, size_t begin, size_t end);
  MarkedText slice(size_t begin, size_t end) const;

  /// Origin of the run that holds `byte`, which must be inside the text.
  int origin_at(size_t byte) const;
  /// One origin for the whole text: kTemplate only when every byte is the template's own.
  int coarse_origin() const;

 private:
  std::string bytes_;
  std::vector<Run> runs_;
};

/// What Python's str.isspace() and the regular expression \s accept.
bool is_space(char32_t point);
/// What Python's str.isprintable() accepts: everything else is escaped by repr().
bool is_printable(char32_t point);

size_t count_points(std::string_view text);
/// Byte offset of every code point, then text.size().
std::vector<size_t> point_offsets(std::string_view text);

/// [begin, end) without white space, or without the characters of `chars`, at either end.
struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
};
ByteRange stripped(std::string_view text, bool left, bool right,
                   const std::optional<std::string>& chars = std::nullopt);

/// str.split(): on runs of white space, at most `limit` cuts (negative: all).
std::vector<ByteRange> split_on_space(std::string_view text, std::int64_t limit);
/// str.rsplit() without a separator.
std::vector<ByteRange> rsplit_on_space(std::string_view text, std::int64_t limit);
/// str.split(separator); `separator` is not empty.
std::vector<ByteRange> split_on(std::string_view text, std::string_view separator, std::int64_t limit);
/// str.rsplit(separator); `separator` is not empty.
std::vector<ByteRange> rsplit_on(std::string_view text, std::string_view separator, std::int64_t limit);
/// str.splitlines(keepends).
std::vector<ByteRange> split_lines(std::string_view text, bool keep_ends);

/// str.replace(old, replacement, limit); a negative limit replaces all.
MarkedText replaced(const MarkedText& text, std::string_view old, const MarkedText& replacement,
                    std::int64_t limit);

enum class Case { upper, lower, title };
/// Python's case mapping of each code point alone. Nothing when the mapping depends on what stands around it
/// (the Greek capital sigma).
std::optional<MarkedText> with_case(const MarkedText& text, size_t begin, size_t end, Case wanted);

}  // namespace safetylock::jinja
