#include "base/utf8.h"

#include <algorithm>

namespace safetylock::utf8 {
namespace {

constexpr Decoded kInvalid{0xFFFD, 1, false};

struct Lead {
  size_t length;                     // 0 when the byte cannot start a sequence
  unsigned char first_lo, first_hi;  // allowed range of the second byte
};

// Table 3-7 of the Unicode standard: the second byte's range excludes overlong forms and surrogates.
Lead classify(unsigned char b) {
  if (b < 0x80) return {1, 0, 0};
  if (b < 0xC2) return {0, 0, 0};
  if (b < 0xE0) return {2, 0x80, 0xBF};
  if (b == 0xE0) return {3, 0xA0, 0xBF};
  if (b == 0xED) return {3, 0x80, 0x9F};
  if (b < 0xF0) return {3, 0x80, 0xBF};
  if (b == 0xF0) return {4, 0x90, 0xBF};
  if (b < 0xF4) return {4, 0x80, 0xBF};
  if (b == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// Bytes of the longest prefix of `bytes` that could still begin a valid sequence (at least 1).
size_t maximal_subpart(std::string_view bytes) noexcept {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const Lead lead = classify(byte(0));
  if (lead.length < 2) return 1;
  size_t n = 1;
  if (n < bytes.size() && byte(1) >= lead.first_lo && byte(1) <= lead.first_hi) {
    ++n;
    while (n < lead.length && n < bytes.size() && (byte(n) & 0xC0) == 0x80) ++n;
  }
  return n;
}

}  // namespace

Decoded decode(std::string_view bytes) noexcept {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const Lead lead = classify(byte(0));
  if (lead.length == 1) return {byte(0), 1, true};
  if (lead.length == 0 || bytes.size() < lead.length) return kInvalid;
  if (byte(1) < lead.first_lo || byte(1) > lead.first_hi) return kInvalid;
  char32_t c = byte(0) & (0x7F >> lead.length);
  c = (c << 6) | (byte(1) & 0x3F);
  for (size_t i = 2; i < lead.length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return kInvalid;
    c = (c << 6) | (byte(i) & 0x3F);
  }
  return {c, lead.length, true};
}

std::optional<size_t> find_invalid(std::string_view bytes) noexcept {
  for (size_t i = 0; i < bytes.size();) {
    const Decoded d = decode(bytes.substr(i));
    if (!d.valid) return i;
    i += d.length;
  }
  return std::nullopt;
}

size_t unfinished_suffix(std::string_view bytes) noexcept {
  // A byte that can start a sequence never continues one, so what stands before it does not matter.
  for (size_t n = 1; n <= std::min<size_t>(3, bytes.size()); ++n) {
    const std::string_view suffix = bytes.substr(bytes.size() - n);
    const size_t length = classify(static_cast<unsigned char>(suffix.front())).length;
    if (length > n && maximal_subpart(suffix) == n) return n;
  }
  return 0;
}

void append(std::string& out, char32_t c) {
  const auto put = [&](char32_t b) { out.push_back(static_cast<char>(static_cast<unsigned char>(b))); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::string to_valid(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    const std::string_view rest = bytes.substr(i);
    const Decoded d = decode(rest);
    if (d.valid) {
      out.append(rest.substr(0, d.length));
      i += d.length;
    } else {
      append(out, 0xFFFD);
      i += maximal_subpart(rest);
    }
  }
  return out;
}

}  // namespace safetylock::utf8
