#include "text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "base/utf8.h"

namespace safetylock::byte_alphabet {
namespace {

constexpr size_t kSymbols = 0x144;  // one past the last symbol, U+0143
constexpr std::int16_t kNone = -1;

struct Tables {
  std::array<char16_t, 256> symbol_of{};
  std::array<std::int16_t, kSymbols> byte_of{};
};

constexpr bool stands_for_itself(unsigned b) {
  return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
}

constexpr Tables make_tables() {
  Tables t;
  t.byte_of.fill(kNone);
  unsigned next = 0x100;
  for (unsigned b = 0; b < 256; ++b) {
    const unsigned c = stands_for_itself(b) ? b : next++;
    t.symbol_of[b] = static_cast<char16_t>(c);
    t.byte_of[c] = static_cast<std::int16_t>(b);
  }
  return t;
}

constexpr Tables kTables = make_tables();

}  // namespace

char32_t symbol(unsigned char byte) noexcept {
  return kTables.symbol_of[byte];
}

std::optional<std::string> to_bytes(std::string_view spelling) {
  std::string out;
  out.reserve(spelling.size());
  for (size_t i = 0; i < spelling.size();) {
    const utf8::Decoded d = utf8::decode(spelling.substr(i));
    if (!d.valid || d.code_point >= kSymbols || kTables.byte_of[d.code_point] == kNone) return std::nullopt;
    out.push_back(static_cast<char>(kTables.byte_of[d.code_point]));
    i += d.length;
  }
  return out;
}

std::string decode_token(std::string_view spelling) {
  auto bytes = to_bytes(spelling);
  return bytes ? std::move(*bytes) : std::string(spelling);
}

}  // namespace safetylock::byte_alphabet
