#include "text/sentencepiece_file.h"

#include <set>

#include "safetylock/error.h"
#include "text/sentencepiece_charsmap.h"
#include "text/sentencepiece_proto.h"

namespace safetylock {
namespace {

using Type = SentencePieceFile::Type;

// Field numbers of sentencepiece_model.proto.
namespace model_field {
enum : std::uint32_t {
  pieces = 1,
  trainer_spec = 2,
  normalizer_spec = 3,
  self_test = 4,
  denormalizer_spec = 5
};
}
namespace piece_field {
enum : std::uint32_t { piece = 1, score = 2, type = 3 };
}
namespace trainer_field {
enum : std::uint32_t {
  model_type = 3,
  treat_whitespace_as_suffix = 24,
  byte_fallback = 35,
  unk_id = 40,
  unk_surface = 44
};
}
namespace normalizer_field {
enum : std::uint32_t {
  precompiled_charsmap = 2,
  add_dummy_prefix = 3,
  remove_extra_whitespaces = 4,
  escape_whitespaces = 5
};
}

// Fields that the format has once: the library would take the last of several, or mix them.
class Once {
 public:
  explicit Once(const ProtoReader& reader) : reader_(reader) {}
  void operator()(const ProtoField& field) {
    if (!seen_.insert(field.number).second)
      reader_.fail(field.offset, "field " + std::to_string(field.number) + " once", "a second one");
  }

 private:
  const ProtoReader& reader_;
  std::set<std::uint32_t> seen_;
};

SentencePieceFile::Piece read_piece(ProtoReader reader, size_t id, const std::string& file) {
  SentencePieceFile::Piece piece;
  Once once(reader);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case piece_field::piece:
        once(*field);
        piece.text = reader.text(*field);
        break;
      case piece_field::score:
        once(*field);
        piece.score = reader.float32(*field);
        break;
      case piece_field::type: {
        once(*field);
        const std::int32_t type = reader.int32(*field);
        if (type < static_cast<std::int32_t>(Type::normal) || type > static_cast<std::int32_t>(Type::byte)) {
          throw Error({"spm.piece", file, "piece " + std::to_string(id), "a type from 1 to 6",
                       std::to_string(type), ""});
        }
        piece.type = static_cast<Type>(type);
        break;
      }
      default:
        break;  // extensions: without meaning for the library
    }
  }
  return piece;
}

void read_trainer_spec(ProtoReader reader, SentencePieceFile& out, const std::string& file) {
  Once once(reader);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case trainer_field::model_type: {
        once(*field);
        const std::int32_t type = reader.int32(*field);
        if (type != static_cast<std::int32_t>(SentencePieceFile::Algorithm::unigram) &&
            type != static_cast<std::int32_t>(SentencePieceFile::Algorithm::bpe)) {
          throw Error({"spm.unsupported", file, "trainer_spec.model_type", "1 (unigram) or 2 (BPE)",
                       std::to_string(type), ""});
        }
        out.algorithm = static_cast<SentencePieceFile::Algorithm>(type);
        break;
      }
      case trainer_field::treat_whitespace_as_suffix:
        once(*field);
        out.treat_whitespace_as_suffix = reader.boolean(*field);
        break;
      case trainer_field::byte_fallback:
        once(*field);
        out.byte_fallback = reader.boolean(*field);
        break;
      case trainer_field::unk_id:
        once(*field);
        out.unknown_id = reader.int32(*field);
        break;
      case trainer_field::unk_surface:
        once(*field);
        out.unknown_surface = reader.text(*field);
        break;
      default:
        break;  // how the model was trained: without effect on what it does
    }
  }
}

void read_normalizer_spec(ProtoReader reader, SentencePieceFile& out) {
  Once once(reader);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case normalizer_field::precompiled_charsmap:
        once(*field);
        out.charsmap = reader.text(*field);
        break;
      case normalizer_field::add_dummy_prefix:
        once(*field);
        out.add_dummy_prefix = reader.boolean(*field);
        break;
      case normalizer_field::remove_extra_whitespaces:
        once(*field);
        out.remove_extra_whitespaces = reader.boolean(*field);
        break;
      case normalizer_field::escape_whitespaces:
        once(*field);
        out.escape_whitespaces = reader.boolean(*field);
        break;
      default:
        break;  // the rules' name and source, compiled into the charsmap
    }
  }
}

}  // namespace

SentencePieceFile read_sentencepiece_file(std::string_view bytes, const std::string& file) {
  if (bytes.size() > kMaxSentencePieceFileBytes) {
    throw Error({"limit.file_size", file, "",
                 "at most " + std::to_string(kMaxSentencePieceFileBytes) + " bytes",
                 std::to_string(bytes.size()), ""});
  }
  SentencePieceFile out;
  ProtoReader reader(bytes, 0, file, "the model");
  Once once(reader);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case model_field::pieces: {
        const size_t id = out.pieces.size();
        out.pieces.push_back(read_piece(reader.message(*field, "piece " + std::to_string(id)), id, file));
        break;
      }
      case model_field::trainer_spec:
        once(*field);
        read_trainer_spec(reader.message(*field, "trainer_spec"), out, file);
        break;
      case model_field::normalizer_spec:
        once(*field);
        read_normalizer_spec(reader.message(*field, "normalizer_spec"), out);
        break;
      case model_field::denormalizer_spec: {
        once(*field);
        SentencePieceFile denormalizer;
        read_normalizer_spec(reader.message(*field, "denormalizer_spec"), denormalizer);
        if (!denormalizer.charsmap.empty()) {
          throw Error({"spm.unsupported", file, "denormalizer_spec.precompiled_charsmap", "none",
                       std::to_string(denormalizer.charsmap.size()) + " bytes", ""});
        }
        break;
      }
      default:
        break;  // self-test data and extensions: never passed on
    }
  }
  if (out.pieces.empty()) reader.fail(bytes.size(), "pieces", "none");
  if (!out.charsmap.empty()) check_charsmap(out.charsmap, file);
  check_pieces(out, file, "piece");
  return out;
}

std::string SentencePieceFile::serialised() const {
  ProtoWriter model;
  for (const Piece& piece : pieces) {
    ProtoWriter p;
    p.bytes(piece_field::piece, piece.text);
    p.float32(piece_field::score, piece.score);
    p.varint(piece_field::type, static_cast<std::uint64_t>(piece.type));
    model.bytes(model_field::pieces, p.message());
  }
  ProtoWriter trainer;
  trainer.varint(trainer_field::model_type, static_cast<std::uint64_t>(algorithm));
  trainer.varint(trainer_field::treat_whitespace_as_suffix, treat_whitespace_as_suffix ? 1 : 0);
  trainer.varint(trainer_field::byte_fallback, byte_fallback ? 1 : 0);
  trainer.varint(trainer_field::unk_id, static_cast<std::uint64_t>(unknown_id));
  trainer.bytes(trainer_field::unk_surface, unknown_surface);
  model.bytes(model_field::trainer_spec, trainer.message());
  ProtoWriter normalizer;
  normalizer.bytes(normalizer_field::precompiled_charsmap, charsmap);
  normalizer.varint(normalizer_field::add_dummy_prefix, add_dummy_prefix ? 1 : 0);
  normalizer.varint(normalizer_field::remove_extra_whitespaces, remove_extra_whitespaces ? 1 : 0);
  normalizer.varint(normalizer_field::escape_whitespaces, escape_whitespaces ? 1 : 0);
  model.bytes(model_field::normalizer_spec, normalizer.message());
  return model.message();
}

}  // namespace safetylock
