// tokenizer_config.json, with what transformers 4 kept in added_tokens.json and special_tokens_map.json.
#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "text/added_tokens.h"

namespace safetylock {

struct TokenizerConfig {
  std::string file;             ///< labels errors
  std::string tokenizer_class;  ///< without "Fast"
  std::optional<bool> legacy, add_prefix_space;
  bool add_bos_token = false;  ///< transformers' default, for all classes
  bool add_eos_token = false;
  std::optional<std::string> bos_token, eos_token;

  /// In the order in which transformers gives tokens that the vocabulary lacks their ids. The first
  /// `declared` have the ids that the file gives them, the others none (-1).
  std::vector<AddedToken> tokens;
  size_t declared = 0;
  /// Whether the control and user-defined pieces of the vocabulary are added tokens too: not where the file
  /// lists extra special tokens of its own.
  bool adds_pieces = true;
  /// Tokens that are control tokens beside the special ones.
  std::unordered_set<std::string> chat_control_tokens;
};

/// Reads the files in `folder` as transformers 5 does. Throws cfg.missing, cfg.type, spm.unsupported (classes
/// and settings that would change the tokens and are not built), spm.added_token.
TokenizerConfig read_tokenizer_config(const std::string& folder);

/// The same beside a tokenizer.json, whose added tokens are `of_file`. `tokenizer_class` is the class that
/// loads it; LlamaTokenizer and GemmaTokenizer bring special tokens of their own. A folder without a
/// tokenizer_config.json is as one with an empty file.
TokenizerConfig read_tokenizer_config(const std::string& folder, const std::string& tokenizer_class,
                                      const std::vector<AddedToken>& of_file);

}  // namespace safetylock
