// Sentencepiece models small enough to be read whole, for tests to use or to break.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_piece.h"
#include "text/sentencepiece_file.h"

namespace safetylock::test {

/// BPE with byte fallback, in the order of Llama's vocabulary. Ids: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 bytes,
/// then what `ordinary` lists, then <turn> and a line break as user-defined symbols.
inline SentencePieceFile tiny_sentencepiece() {
  using Type = SentencePieceFile::Type;
  SentencePieceFile file;
  file.algorithm = SentencePieceFile::Algorithm::bpe;
  file.byte_fallback = true;
  file.remove_extra_whitespaces = false;
  file.pieces = {{"<unk>", 0, Type::unknown}, {"<s>", 0, Type::control}, {"</s>", 0, Type::control}};
  for (unsigned b = 0; b < 256; ++b) file.pieces.push_back({byte_piece(b), 0, Type::byte});
  float score = 0;
  for (const char* text : {"\u2581h", "el", "lo", "ello", "\u2581hello", "\u2581", "h", "e", "l", "o", "w",
                           "r", "d", "<", ">", "t", "u", "n"}) {
    file.pieces.push_back({text, score--, Type::normal});
  }
  file.pieces.push_back({"<turn>", 0, Type::user_defined});
  file.pieces.push_back({"\n", 0, Type::user_defined});
  return file;
}

/// Writes precompiled_charsmaps: a node of the trie has a block of 256 units to itself.
class CharsmapBuilder {
 public:
  CharsmapBuilder() { add_node(); }

  /// `from` becomes `to`; it must not begin like another rule, except that it may extend the last one.
  CharsmapBuilder& rule(std::string_view from, std::string_view to) {
    std::uint32_t state = 256;  // the root's children, reached from unit 0
    units[0] = link(0, 256, 0);
    for (size_t i = 0; i < from.size(); ++i) {
      const auto byte = static_cast<unsigned char>(from[i]);
      const std::uint32_t at = state ^ byte;
      if (units[at] == 0) {
        const std::uint32_t next = add_node();
        units[at] = link(at, next, byte);
      }
      const std::uint32_t next = at ^ units[at] >> 10U;
      if (i + 1 == from.size()) {
        units[at] |= 0x100U;
        units[next] = 0x80000000U | static_cast<std::uint32_t>(replacements.size());
      }
      state = next;
    }
    replacements += std::string(to) + '\0';
    return *this;
  }

  std::string build() const {
    std::string trie(units.size() * 4, '\0');
    std::memcpy(trie.data(), units.data(), trie.size());
    const auto size = static_cast<std::uint32_t>(trie.size());
    std::string out(4, '\0');
    std::memcpy(out.data(), &size, 4);
    return out + trie + replacements;
  }

  std::vector<std::uint32_t> units = std::vector<std::uint32_t>(256, 0);
  std::string replacements;

 private:
  std::uint32_t add_node() {
    const auto node = static_cast<std::uint32_t>(units.size());
    units.resize(units.size() + 256, 0);
    units[node] = 0x80000000U;  // no way on with a NUL
    return node;
  }
  // The unit at `at` that `label` enters and that leads to `next`.
  static std::uint32_t link(std::uint32_t at, std::uint32_t next, std::uint32_t label) {
    return (at ^ next) << 10U | label;
  }
};

}  // namespace safetylock::test
