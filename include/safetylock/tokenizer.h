// Text to token ids and back.
//
// Thread rule: a Tokenizer is immutable after loading; use it from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "safetylock/chat_template.h"

namespace safetylock {

using TokenId = std::int64_t;

/// Token ids with the byte range of the input each one stands for.
struct Encoding {
  std::vector<TokenId> ids;
  struct Offsets {
    size_t begin = 0;  ///< byte offset into the encoded text
    size_t end = 0;
  };
  std::vector<Offsets> offsets;  ///< one per id
};

struct EncodeOptions {
  /// Match control tokens such as <|im_end|> in the text (Hugging Face's default). Off: they are encoded as
  /// the characters they are made of.
  bool parse_special_tokens = true;
  /// Let the tokenizer add its own bos/eos as its post-processor says. Off for text rendered by a chat
  /// template.
  bool add_special_tokens = false;
};

class Tokenizer {
 public:
  /// Reads the tokenizer of a model: a GGUF file's metadata, or a Hugging Face folder as transformers 5's
  /// AutoTokenizer does. There `tokenizer.json` counts, under the rules of the class that
  /// `tokenizer_config.json` names and with the special tokens it lists; where there is none Mistral's
  /// `tekken.json`; else `tokenizer.model` (sentencepiece BPE) of the classes LlamaTokenizer and
  /// GemmaTokenizer.
  static Tokenizer from_pretrained(const std::string& path);
  /// Reads `tokenizer.json` (Hugging Face tokenizers) by itself: byte-level BPE with the pre-tokenizer of
  /// GPT-2, SmolLM, Llama 3, Qwen2, tekken or GPT-4o, or BPE of a sentencepiece vocabulary (Llama 2, Mistral,
  /// Phi-3, Gemma). Throws Error bpe.* naming JSON path and rule for anything else.
  static Tokenizer from_tokenizer_json(const std::string& path);
  /// As above, from bytes; `file` labels errors.
  static Tokenizer from_tokenizer_json_text(std::string_view json, const std::string& file);

  /// Reads a sentencepiece model (BPE or unigram) by itself, with sentencepiece's own rules: with
  /// parse_special_tokens off, encode is spm_encode. Throws Error spm.*.
  static Tokenizer from_sentencepiece(const std::string& path);

  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// `text` must be valid UTF-8: throws Error arg.prompt with the byte offset otherwise.
  Encoding encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// Encodes a rendered chat: control tokens are matched in the template's own text only, unless
  /// `trust_special_tokens`; then as Hugging Face encodes the whole text. Both agree when no message spells a
  /// control token. Offsets are into `prompt.text`.
  Encoding encode(const RenderedPrompt& prompt, bool trust_special_tokens = false) const;

  /// Bytes of the ids, control tokens spelled out unless `skip_special_tokens`, invalid UTF-8 replaced by
  /// U+FFFD as Hugging Face does. Throws arg.range for an id outside the vocabulary.
  std::string decode(const std::vector<TokenId>& ids, bool skip_special_tokens = true) const;
  /// As decode, but the raw bytes: a token may end inside a character.
  std::string decode_bytes(const std::vector<TokenId>& ids, bool skip_special_tokens = true) const;

  std::int64_t vocab_size() const noexcept;  ///< highest id + 1, added tokens included
  std::optional<TokenId> token_to_id(std::string_view token) const;  ///< by its vocabulary spelling
  bool is_special(TokenId id) const noexcept;
  /// SHA-256 over vocabulary, merges, added tokens and pre-tokenizer: the lock's `tokenizer_digest`.
  const std::string& digest() const noexcept;

  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace safetylock
