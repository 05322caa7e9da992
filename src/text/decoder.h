// The decoders of tokenizer.json that put pieces of a sentencepiece vocabulary back together, as Hugging
// Face's tokenizers runs them: each turns a list of texts into another.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

/// One decoder.
struct DecoderStep {
  enum class Kind {
    replace,        ///< `wanted` by `content` in each text
    byte_fallback,  ///< texts <0xNN> that follow each other become the characters they are bytes of
    fuse,           ///< one text of all
    strip,          ///< up to `count` times `content`, a character, goes from the start of each text
    metaspace,      ///< U+2581 becomes a space; `drop_first`: in the first text, nothing
  } kind;
  std::string wanted = {};
  std::string content = {};
  size_t count = 0;
  bool drop_first = false;
};

class Decoder {
 public:
  Decoder() = default;
  explicit Decoder(std::vector<DecoderStep> steps) : steps_(std::move(steps)) {}

  /// The text of `tokens`. A run of bytes that is no UTF-8 becomes a U+FFFD for each byte, or is kept as it
  /// is with `keep_bytes`.
  std::string operator()(std::vector<std::string> tokens, bool keep_bytes) const;

 private:
  std::vector<DecoderStep> steps_;
};

}  // namespace safetylock
