// tokenizer.json files with a sentencepiece vocabulary, small enough to be read whole.
#pragma once

#include <string>
#include <vector>

#include "text/byte_piece.h"
#include "text/tiny_tokenizer.h"

namespace safetylock::test {

/// Ids: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 bytes, then the pieces below from 259 on. `merges` make "▁hello"
/// and, as some published files do, the control token "</s>" of its characters.
inline OrderedJson tiny_character_bpe() {
  OrderedJson vocab = OrderedJson::object();
  const auto add = [&](const std::string& piece) { vocab[piece] = vocab.size(); };
  for (const char* piece : {"<unk>", "<s>", "</s>"}) add(piece);
  for (unsigned b = 0; b < 256; ++b) add(byte_piece(b));
  for (const char* piece : {"▁", "h", "e",  "l",  "o",  "<",    "/",  "s",      ">",  "|",  "u",
                            "r", "a", "\n", "el", "lo", "ello", "▁h", "▁hello", "</", "s>", "▁▁"})
    add(piece);
  OrderedJson added = OrderedJson::array();
  for (const char* token : {"<unk>", "<s>", "</s>"}) added.push_back(added_token(added.size(), token));
  const auto replace = [](const char* from, const char* to) {
    return OrderedJson{{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
  };
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", false}}},
          {"post_processor", nullptr},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {replace("▁", " "),
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}},
              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", "<unk>"},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", {"e l", "l o", "el lo", "▁ h", "▁h ello", "< /", "s >", "</ s>", "▁ ▁"}}}}};
}

/// As Phi-3's file: Prepend and Replace, role tokens 281 <|user|> and 282 <|end|> that take white space
/// behind them.
inline OrderedJson tiny_phi3() {
  OrderedJson json = tiny_character_bpe();
  json["pre_tokenizer"] = nullptr;
  json["normalizer"] = {{"type", "Sequence"},
                        {"normalizers",
                         {{{"type", "Prepend"}, {"prepend", "▁"}},
                          {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}}}};
  for (const char* role : {"<|user|>", "<|end|>"}) {
    OrderedJson token = added_token(static_cast<int>(278 + json["added_tokens"].size()), role);
    token["rstrip"] = true;
    json["added_tokens"].push_back(token);
  }
  return json;
}

/// As Gemma's file: spaces are replaced, nothing is put in front; turn markers 281 <start_of_turn> and 282
/// <end_of_turn> that the file does not call special, and a line break that is an added token too, 272.
inline OrderedJson tiny_gemma() {
  OrderedJson json = tiny_character_bpe();
  json["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  json["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"String", " "}}},
                           {"behavior", "MergedWithPrevious"},
                           {"invert", false}};
  json["decoder"]["decoders"].erase(3);
  json["added_tokens"].push_back(added_token(272, "\n", false));
  json["added_tokens"].push_back(added_token(281, "<start_of_turn>", false));
  json["added_tokens"].push_back(added_token(282, "<end_of_turn>", false));
  return json;
}

}  // namespace safetylock::test
