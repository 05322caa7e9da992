#include "text/templates/marked_text.h"

#include <algorithm>

#include "base/utf8.h"
#include "safetylock/chat_template.h"

namespace safetylock::jinja {

int combine_origins(int a, int b) {
  if (a == b || b == RenderedPrompt::kTemplate) return a;
  if (a == RenderedPrompt::kTemplate) return b;
  return RenderedPrompt::kCaller;
}

MarkedText::MarkedText(std::string bytes, int origin) : bytes_(std::move(bytes)) {
  if (!bytes_.empty()) runs_.push_back({bytes_.size(), origin});
}

void MarkedText::append(std::string_view bytes, int origin) {
  if (bytes.empty()) return;
  bytes_.append(bytes);
  if (!runs_.empty() && runs_.back().origin == origin) {
    runs_.back().end = bytes_.size();
  } else {
    runs_.push_back({bytes_.size(), origin});
  }
}

void MarkedText::append(const MarkedText& other, size_t begin, size_t end) {
  auto run = std::upper_bound(other.runs_.begin(), other.runs_.end(), begin,
                              [](size_t byte, const Run& r) { return byte < r.end; });
  while (begin < end) {
    const size_t stop = std::min(end, run->end);
    append(std::string_view(other.bytes_).substr(begin, stop - begin), run->origin);
    begin = stop;
    ++run;
  }
}

MarkedText MarkedText::slice(size_t begin, size_t end) const {
  MarkedText part;
  part.append(*this, begin, end);
  return part;
}

int MarkedText::origin_at(size_t byte) const {
  return std::upper_bound(runs_.begin(), runs_.end(), byte,
                          [](size_t at, const Run& r) { return at < r.end; })
      ->origin;
}

int MarkedText::coarse_origin() const {
  int origin = RenderedPrompt::kTemplate;
  for (const Run& run : runs_) origin = combine_origins(origin, run.origin);
  return origin;
}

bool is_space(char32_t point) {
  if (point <= 0x20)
    return point == ' ' || (point >= 0x09 && point <= 0x0D) || (point >= 0x1C && point <= 0x1F);
  switch (point) {
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return true;
    default:
      return point >= 0x2000 && point <= 0x200A;
  }
}

size_t count_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::vector<size_t> point_offsets(std::string_view text) {
  std::vector<size_t> offsets;
  offsets.reserve(text.size() + 1);
  for (size_t i = 0; i < text.size(); i += utf8::decode(text.substr(i)).length) offsets.push_back(i);
  offsets.push_back(text.size());
  return offsets;
}

namespace {

// First byte of the code point that ends at `end`.
size_t point_before(std::string_view text, size_t end) {
  do {
    --end;
  } while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U);
  return end;
}

bool is_line_break(char32_t point) {
  return (point >= 0x0A && point <= 0x0D) || (point >= 0x1C && point <= 0x1E) || point == 0x85 ||
         point == 0x2028 || point == 0x2029;
}

}  // namespace

ByteRange stripped(std::string_view text, bool left, bool right, const std::optional<std::string>& chars) {
  const auto strips = [&](std::string_view point) {
    if (!chars) return is_space(utf8::decode(point).code_point);
    // Sound because UTF-8 is self-synchronising: a whole character never matches inside another.
    return chars->find(point) != std::string::npos;
  };
  ByteRange kept{0, text.size()};
  while (left && kept.begin < kept.end) {
    const size_t length = utf8::decode(text.substr(kept.begin)).length;
    if (!strips(text.substr(kept.begin, length))) break;
    kept.begin += length;
  }
  while (right && kept.end > kept.begin) {
    const size_t begin = point_before(text, kept.end);
    if (!strips(text.substr(begin, kept.end - begin))) break;
    kept.end = begin;
  }
  return kept;
}

std::vector<ByteRange> split_on_space(std::string_view text, std::int64_t limit) {
  std::vector<ByteRange> parts;
  size_t at = stripped(text, true, false).begin;
  while (at < text.size()) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back({at, text.size()});
      break;
    }
    size_t end = at;
    while (end < text.size()) {
      const auto point = utf8::decode(text.substr(end));
      if (is_space(point.code_point)) break;
      end += point.length;
    }
    parts.push_back({at, end});
    at = end + stripped(text.substr(end), true, false).begin;
  }
  return parts;
}

std::vector<ByteRange> rsplit_on_space(std::string_view text, std::int64_t limit) {
  std::vector<ByteRange> parts;
  size_t end = stripped(text, false, true).end;
  while (end > 0) {
    if (limit >= 0 && static_cast<std::int64_t>(parts.size()) == limit) {
      parts.push_back({0, end});
      break;
    }
    size_t begin = end;
    while (begin > 0) {
      const size_t before = point_before(text, begin);
      if (is_space(utf8::decode(text.substr(before)).code_point)) break;
      begin = before;
    }
    parts.push_back({begin, end});
    end = stripped(text.substr(0, begin), false, true).end;
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<ByteRange> split_on(std::string_view text, std::string_view separator, std::int64_t limit) {
  std::vector<ByteRange> parts;
  size_t at = 0;
  while (limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) {
    const size_t found = text.find(separator, at);
    if (found == std::string_view::npos) break;
    parts.push_back({at, found});
    at = found + separator.size();
  }
  parts.push_back({at, text.size()});
  return parts;
}

std::vector<ByteRange> rsplit_on(std::string_view text, std::string_view separator, std::int64_t limit) {
  std::vector<ByteRange> parts;
  size_t end = text.size();
  while ((limit < 0 || static_cast<std::int64_t>(parts.size()) < limit) && end >= separator.size()) {
    const size_t found = text.rfind(separator, end - separator.size());
    if (found == std::string_view::npos) break;
    parts.push_back({found + separator.size(), end});
    end = found;
  }
  parts.push_back({0, end});
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<ByteRange> split_lines(std::string_view text, bool keep_ends) {
  std::vector<ByteRange> lines;
  size_t begin = 0;
  size_t at = 0;
  while (at < text.size()) {
    const auto point = utf8::decode(text.substr(at));
    const size_t end = at;
    at += point.length;
    if (!is_line_break(point.code_point)) continue;
    if (point.code_point == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back({begin, keep_ends ? at : end});
    begin = at;
  }
  if (begin < text.size()) lines.push_back({begin, text.size()});
  return lines;
}

MarkedText replaced(const MarkedText& text, std::string_view old, const MarkedText& replacement,
                    std::int64_t limit) {
  const std::string& bytes = text.bytes();
  MarkedText result;
  size_t at = 0;
  std::int64_t done = 0;
  if (old.empty()) {
    // Python puts the replacement before every code point and at the end.
    while (limit < 0 || done < limit) {
      result.append(replacement);
      ++done;
      if (at == bytes.size()) return result;
      const size_t next = at + utf8::decode(std::string_view(bytes).substr(at)).length;
      result.append(text, at, next);
      at = next;
    }
  }
  while (!old.empty() && (limit < 0 || done < limit)) {
    const size_t found = bytes.find(old, at);
    if (found == std::string::npos) break;
    result.append(text, at, found);
    result.append(replacement);
    at = found + old.size();
    ++done;
  }
  result.append(text, at, bytes.size());
  return result;
}

}  // namespace safetylock::jinja
