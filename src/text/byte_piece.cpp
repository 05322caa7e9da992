#include "text/byte_piece.h"

#include <charconv>

namespace safetylock {

std::string byte_piece(unsigned byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4U & 15U], kDigits[byte & 15U], '>'};
}

std::optional<char> byte_of_piece(std::string_view spelling) {
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || !spelling.ends_with('>')) return std::nullopt;
  std::string_view digits = spelling.substr(3, 2);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  unsigned char byte = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
  if (error != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
  return static_cast<char>(byte);
}

}  // namespace safetylock
