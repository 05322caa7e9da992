// A byte-level BPE tokenizer small enough to be read whole, as tokenizer.json, for tests to use or to break.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace safetylock::test {

using OrderedJson = nlohmann::ordered_json;

/// GPT-2's spelling of one byte (`bytes_to_unicode`), written from its definition: printable Latin-1 stands
/// for itself, the rest counts up from U+0100.
inline std::string spell_byte(unsigned byte) {
  const auto printable = [](unsigned b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  unsigned c = byte;
  if (!printable(byte)) {
    c = 256;
    for (unsigned b = 0; b < byte; ++b) c += printable(b) ? 0 : 1;
  }
  if (c < 0x80) return {static_cast<char>(c)};
  return {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
}

inline std::vector<std::string> tiny_tokens() {
  std::vector<std::string> tokens;
  for (unsigned b = 0; b < 256; ++b) tokens.push_back(spell_byte(b));
  for (const char* t : {"he", "ll", "hell", "hello", "Ġw", "or", "ld", "orld", "Ġworld", "11", "111"})
    tokens.emplace_back(t);
  return tokens;
}

inline std::vector<std::pair<std::string, std::string>> tiny_merges() {
  return {{"h", "e"}, {"l", "l"},   {"he", "ll"},   {"hell", "o"}, {"Ġ", "w"}, {"o", "r"},
          {"l", "d"}, {"or", "ld"}, {"Ġw", "orld"}, {"1", "1"},    {"11", "1"}};
}

inline OrderedJson added_token(int id, const std::string& content, bool special = true) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

/// GPT-2's pipeline. Ids below 256 are bytes; "<|a|>" and "<|b|>" are control tokens 267 and 268, "<tool>" is
/// a plain added token, 269.
inline OrderedJson tiny_tokenizer() {
  OrderedJson vocab = OrderedJson::object();
  for (const std::string& t : tiny_tokens()) vocab[t] = vocab.size();
  OrderedJson merges = OrderedJson::array();
  for (const auto& [left, right] : tiny_merges()) merges.push_back(left + " " + right);
  const OrderedJson byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens",
           {added_token(267, "<|a|>"), added_token(268, "<|b|>"), added_token(269, "<tool>", false)}},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", merges}}}};
}

}  // namespace safetylock::test
