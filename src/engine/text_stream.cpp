#include "engine/text_stream.h"

#include <algorithm>

#include "base/utf8.h"

namespace safetylock {
namespace {

/// Where the stop string that is complete first begins; npos if there is none.
size_t find_stop(std::string_view text, const std::vector<std::string>& stop) {
  size_t begin = std::string_view::npos, end = std::string_view::npos;
  for (const std::string& s : stop) {
    const size_t at = text.find(s);
    if (at == std::string_view::npos || at + s.size() > end) continue;
    begin = at + s.size() < end ? at : std::min(begin, at);
    end = at + s.size();
  }
  return begin;
}

/// Bytes at the end of `text` that a stop string may begin with.
size_t possible_stop(std::string_view text, const std::vector<std::string>& stop) {
  size_t longest = 0;
  for (const std::string& s : stop) {
    for (size_t n = std::min(s.size() - 1, text.size()); n > longest; --n) {
      if (text.ends_with(std::string_view(s).substr(0, n))) longest = n;
    }
  }
  return longest;
}

}  // namespace

TextStream::TextStream(std::vector<std::string> stop) : stop_(std::move(stop)) {}

std::string TextStream::push(std::string_view bytes) {
  if (stopped_) return {};
  bytes_ += bytes;
  const size_t whole = bytes_.size() - utf8::unfinished_suffix(bytes_);
  const std::string characters = utf8::to_valid(std::string_view(bytes_).substr(0, whole));
  bytes_.erase(0, whole);
  return take(characters);
}

std::string TextStream::finish() {
  if (stopped_) return {};
  std::string out = take(utf8::to_valid(bytes_));
  bytes_.clear();
  if (!stopped_) out += held_;
  held_.clear();
  return out;
}

std::string TextStream::take(std::string_view characters) {
  held_ += characters;
  size_t end = find_stop(held_, stop_);
  stopped_ = end != std::string::npos;
  if (!stopped_) end = held_.size() - possible_stop(held_, stop_);
  std::string out = held_.substr(0, end);
  held_.erase(0, stopped_ ? held_.size() : end);
  return out;
}

}  // namespace safetylock
