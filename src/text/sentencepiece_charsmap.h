// The rules by which a sentencepiece model rewrites text: a double-array trie (Darts) of what is replaced,
// then the replacements.
#pragma once

#include <string>
#include <string_view>

namespace safetylock {

constexpr size_t kMaxCharsmapBytes = size_t{8} << 20;
/// Of one rule: bounds how much longer rewriting can make a text.
constexpr size_t kMaxReplacementBytes = 128;

/// Proves that sentencepiece's walk over `charsmap` stays inside it, whatever the text: each step, each leaf
/// and each replacement, and that no text matches more rules at once than the walk has room for. Throws
/// spm.charsmap with the unit of the trie.
void check_charsmap(std::string_view charsmap, const std::string& file);

}  // namespace safetylock
