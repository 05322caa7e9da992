// A tokenizer's model: what text between added tokens is cut into. One interface, a back end a kind of model.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "safetylock/tokenizer.h"
#include "text/normalizer.h"

namespace safetylock {

class DigestWriter;

/// A token and the bytes of the encoded text that it stands for.
struct SubwordToken {
  TokenId id;
  size_t begin;
  size_t end;
};

/// Immutable: encoders of several threads share it. Ids are 0 to size() - 1.
class SubwordModel {
 public:
  virtual ~SubwordModel() = default;

  /// Encodes one text after another; for one thread. The model must outlive it.
  class Encoder {
   public:
    virtual ~Encoder() = default;
    /// Appends the tokens of `text`, which is normalised and free of added tokens. `at_start`: no text stands
    /// before it.
    virtual void encode(std::string_view text, bool at_start, std::vector<SubwordToken>& out) = 0;
  };
  /// `parse_special`: as in EncodeOptions, for models that know control tokens of their own.
  virtual std::unique_ptr<Encoder> encoder(bool parse_special) const = 0;

  virtual size_t size() const noexcept = 0;
  /// By the spelling in the vocabulary file.
  virtual std::optional<TokenId> find(std::string_view spelling) const = 0;
  /// The text a token of the model stands for; the spelling of one that only an added token may spell.
  virtual std::string_view bytes(TokenId id) const = 0;

  /// One id on its way to text: a token of the model, or an added token with its content.
  struct Piece {
    TokenId id;
    std::optional<std::string> added;
  };
  /// As Tokenizer::decode and Tokenizer::decode_bytes.
  virtual std::string decode(const std::vector<Piece>& pieces) const = 0;
  virtual std::string decode_bytes(const std::vector<Piece>& pieces) const = 0;

  /// Writes all that decides which ids a text becomes, added tokens aside.
  virtual void write_digest(DigestWriter& out, const Normalizer& normalizer) const = 0;
};

}  // namespace safetylock
