// What a sentencepiece model file (tokenizer.model) says, checked before the sentencepiece library sees any
// of it: the library is only ever given bytes that `serialised` wrote.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "safetylock/tokenizer.h"

namespace safetylock {

/// Sizes above which a file is refused.
constexpr size_t kMaxSentencePieceFileBytes = size_t{32} << 20;
constexpr size_t kMaxPieceBytes = 1024;

struct SentencePieceFile {
  enum class Type { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::normal;
  };
  enum class Algorithm { unigram = 1, bpe = 2 };

  // Defaults are the format's own.
  std::vector<Piece> pieces;
  Algorithm algorithm = Algorithm::unigram;
  bool byte_fallback = false;
  bool treat_whitespace_as_suffix = false;
  std::int32_t unknown_id = 0;
  std::string unknown_surface = " \u2047 ";  ///< what the unknown token decodes to
  std::string charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;

  /// A ModelProto with the fields above and no others.
  std::string serialised() const;
};

/// Reads a file's bytes; `file` labels errors. Throws limit.file_size, spm.proto, spm.unsupported (a model
/// that is neither BPE nor unigram), spm.piece, spm.charsmap, and as `check_pieces`.
SentencePieceFile read_sentencepiece_file(std::string_view bytes, const std::string& file);

/// What every model must keep to, whatever it was read from: each piece once, not too long, in UTF-8 and with
/// a finite score, one unknown piece, all byte pieces or none. `place` names a piece in errors, followed by
/// its id. Throws spm.piece, spm.piece_length, spm.score, spm.unk, spm.byte_piece, limit.vocabulary.
void check_pieces(const SentencePieceFile& model, const std::string& file, const std::string& place);

}  // namespace safetylock
