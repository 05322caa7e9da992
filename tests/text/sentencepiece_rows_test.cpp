// What is refused before sentencepiece sees it: rows T1 to T9 of the threat model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "safetylock/tokenizer.h"
#include "support/errors.h"
#include "support/temporary.h"
#include "text/sentencepiece_charsmap.h"
#include "text/sentencepiece_library.h"
#include "text/sentencepiece_proto.h"
#include "text/tiny_sentencepiece.h"

namespace safetylock {
namespace {

using test::CharsmapBuilder;
using ::testing::HasSubstr;
using Algorithm = SentencePieceFile::Algorithm;
using Type = SentencePieceFile::Type;

std::string tiny() {
  return test::tiny_sentencepiece().serialised();
}

ErrorFields refusal_of(const std::string& bytes) {
  return test::error_of([&] { read_sentencepiece_file(bytes, "t.model"); })
      .value_or(ErrorFields{"no error", "", "", "", "", ""});
}

std::string code_of(const std::string& bytes) {
  return refusal_of(bytes).code;
}

ErrorFields refusal(const std::function<void(SentencePieceFile&)>& change) {
  SentencePieceFile file = test::tiny_sentencepiece();
  change(file);
  return refusal_of(file.serialised());
}

std::string code(const std::function<void(SentencePieceFile&)>& change) {
  return refusal(change).code;
}

// ---- T1: the wire format ----------------------------------------------------------------------------------

TEST(SentencePieceRows, T1_NotProtobuf) {
  EXPECT_EQ(code_of(tiny()), "no error");
  EXPECT_EQ(code_of("<!DOCTYPE html><html></html>"), "spm.proto");
  EXPECT_EQ(code_of("version https://git-lfs.github.com/spec/v1\n"), "spm.proto");
  EXPECT_EQ(code_of("IQ== 0\nIg== 1\n"), "spm.proto") << "a tiktoken file, also called tokenizer.model";
}

TEST(SentencePieceRows, T1_NumbersOfMoreThanTenBytes) {
  const std::string nine(9, '\x80');
  EXPECT_EQ(code_of(tiny() + "\xF8\x3F" + nine + '\x01'), "no error") << "an unknown field";
  EXPECT_EQ(code_of(tiny() + "\xF8\x3F" + nine + '\x02'), "spm.proto") << "65 bits";
  EXPECT_EQ(code_of(tiny() + "\xF8\x3F" + nine + "\x80\x01"), "spm.proto");
  EXPECT_EQ(code_of(tiny() + nine + "\x80\x01"), "spm.proto") << "as a tag";
}

TEST(SentencePieceRows, T1_LengthsPastTheEnd) {
  const ErrorFields f = refusal_of(tiny() + "\x0A\x7Fxyz");
  EXPECT_EQ(f.code, "spm.proto");
  EXPECT_EQ(f.file, "t.model");
  EXPECT_THAT(f.where, HasSubstr("byte " + std::to_string(tiny().size() + 2)));
  EXPECT_THAT(f.expected, HasSubstr("127 bytes"));
  EXPECT_THAT(f.found, HasSubstr("3 bytes left"));
  EXPECT_EQ(code_of(tiny() + "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"), "spm.proto") << "2^64 - 1";
  EXPECT_EQ(code_of(tiny() + "\x0D\x01\x02"), "spm.proto") << "half a fixed32";
  EXPECT_EQ(code_of(tiny() + "\x09\x01\x02\x03\x04"), "spm.proto") << "half a fixed64";
}

TEST(SentencePieceRows, T1_GroupsAndUnknownWireTypes) {
  for (const char tag : {'\x0B', '\x0C', '\x0E', '\x0F', '\x53'})
    EXPECT_EQ(code_of(tiny() + tag), "spm.proto") << int{tag};
  EXPECT_EQ(code_of(tiny() + std::string(100'000, '\x0B')), "spm.proto") << "100,000 groups deep";
  EXPECT_EQ(code_of(tiny() + std::string(1, '\0') + '\x01'), "spm.proto") << "field 0";
}

TEST(SentencePieceRows, T1_MessagesInsideMessagesInsideMessages) {
  std::string deep;
  for (int i = 0; i < 1000; ++i) {
    ProtoWriter w;
    w.bytes(200, deep);
    deep = w.message();
  }
  EXPECT_EQ(code_of(tiny() + deep), "no error") << "unknown fields are never looked into, nor passed on";
}

TEST(SentencePieceRows, T1_KnownFieldsOfAnotherTypeOrTwice) {
  ProtoWriter model;
  model.varint(1, 5);
  EXPECT_EQ(code_of(tiny() + model.message()), "spm.proto") << "a piece that is a number";
  for (const auto& [field, expected] :
       {std::pair{2U, "spm.proto"}, std::pair{3U, "spm.proto"}, std::pair{4U, "no error"}}) {
    ProtoWriter again;
    again.bytes(field, "");
    EXPECT_EQ(code_of(tiny() + again.message()), expected) << "trainer and normalizer spec once";
  }
  ProtoWriter piece;
  piece.bytes(1, "x");
  piece.bytes(1, "y");
  ProtoWriter twice;
  twice.bytes(1, piece.message());
  EXPECT_EQ(code_of(tiny() + twice.message()), "spm.proto");
  ProtoWriter flag;
  flag.varint(35, 2);
  ProtoWriter trainer;
  trainer.bytes(2, flag.message());
  EXPECT_EQ(code_of(trainer.message()), "spm.proto") << "byte_fallback 2";
}

TEST(SentencePieceRows, T1_EmptyAndTooLarge) {
  EXPECT_EQ(code_of(""), "spm.proto");
  EXPECT_EQ(code_of(std::string(kMaxSentencePieceFileBytes + 1, '\0')), "limit.file_size");
}

// ---- T2, T3, T6: pieces -----------------------------------------------------------------------------------

TEST(SentencePieceRows, T2_PieceLength) {
  const auto with_length = [](size_t n) {
    return code([&](SentencePieceFile& f) { f.pieces.push_back({std::string(n, 'a'), 0, Type::normal}); });
  };
  EXPECT_EQ(with_length(kMaxPieceBytes), "no error");
  EXPECT_EQ(with_length(kMaxPieceBytes + 1), "spm.piece_length");
  EXPECT_EQ(with_length(150'000), "spm.piece_length");
}

TEST(SentencePieceRows, T3_EmptyDuplicateAndBrokenPieces) {
  const auto with = [](const std::string& text, Type type = Type::normal) {
    return refusal([&](SentencePieceFile& f) { f.pieces.push_back({text, 0, type}); });
  };
  EXPECT_EQ(with("").code, "spm.piece");
  EXPECT_EQ(with("hello").code, "no error");
  EXPECT_EQ(with("ello").code, "spm.piece");
  EXPECT_EQ(with("ello").where, "piece 279");
  EXPECT_EQ(with("h", Type::control).code, "spm.piece") << "one text, two meanings";
  EXPECT_EQ(with("\xFF").code, "spm.piece");
  EXPECT_EQ(with("\xC3").code, "spm.piece");
  EXPECT_EQ(with("x", static_cast<Type>(0)).code, "spm.piece");
  EXPECT_EQ(with("x", static_cast<Type>(7)).code, "spm.piece");
}

TEST(SentencePieceRows, T3_NulOnlyAloneAndWithByteFallback) {
  const std::string nul(1, '\0');
  const auto with = [&](const std::string& text, Type type, Algorithm algorithm) {
    return code([&](SentencePieceFile& f) {
      f.algorithm = algorithm;
      f.pieces.push_back({text, 0, type});
    });
  };
  EXPECT_EQ(with(nul, Type::normal, Algorithm::bpe), "no error");
  EXPECT_EQ(with(nul, Type::normal, Algorithm::unigram), "spm.piece");
  EXPECT_EQ(with(nul, Type::user_defined, Algorithm::bpe), "spm.piece");
  EXPECT_EQ(with(nul + "a", Type::normal, Algorithm::bpe), "spm.piece");
  EXPECT_EQ(with("a" + nul, Type::normal, Algorithm::bpe), "spm.piece");

  SentencePieceFile file = test::tiny_sentencepiece();
  file.pieces.push_back({nul, 0, Type::normal});
  const SentencePieceLibrary library(file, "t.model");
  std::vector<SubwordToken> tokens;
  library.encode("h" + nul, tokens);
  EXPECT_EQ(tokens.back().id, 279) << "a sound model with such a piece works";
}

TEST(SentencePieceRows, T3_SymbolsThatBeginAlike) {
  const auto with_nested = [](size_t n) {
    return code([&](SentencePieceFile& f) {
      for (size_t i = 1; i <= n; ++i) f.pieces.push_back({std::string(i, '#'), 0, Type::user_defined});
    });
  };
  EXPECT_EQ(with_nested(64), "no error");
  EXPECT_EQ(with_nested(65), "spm.piece") << "the library has room for 64";
}

TEST(SentencePieceRows, T6_ScoresThatAreNoNumbers) {
  for (const float score :
       {std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()})
    EXPECT_EQ(code([&](SentencePieceFile& f) { f.pieces[260].score = score; }), "spm.score");
  EXPECT_EQ(refusal([](SentencePieceFile& f) { f.pieces[260].score = std::nanf(""); }).where, "piece 260");
}

// ---- T4: the charsmap -------------------------------------------------------------------------------------

std::string charsmap_code(const std::string& charsmap) {
  return test::code_of([&] { check_charsmap(charsmap, "t.model"); });
}

std::string charsmap_code(const std::function<void(CharsmapBuilder&)>& change) {
  CharsmapBuilder b;
  b.rule("ab", "x").rule("c", "yy");
  change(b);
  return charsmap_code(b.build());
}

TEST(SentencePieceRows, T4_SoundCharsmapsAreReadAsTheLibraryDoes) {
  SentencePieceFile file = test::tiny_sentencepiece();
  file.charsmap =
      CharsmapBuilder().rule("ww", "hello").rule("www", "hellohello").rule("\xC3\xA9", "e").build();
  EXPECT_EQ(charsmap_code(file.charsmap), "no error");
  const SentencePieceFile read = read_sentencepiece_file(file.serialised(), "t.model");
  const SentencePieceLibrary library(read, "t.model");
  std::vector<SubwordToken> tokens;
  library.encode("ww", tokens);
  ASSERT_EQ(tokens.size(), 1U);
  EXPECT_EQ(tokens[0].id, 263) << "U+2581 hello";
  tokens.clear();
  library.encode("\xC3\xA9", tokens);
  ASSERT_EQ(tokens.size(), 2U);
  EXPECT_EQ(tokens[1].id, 266) << "e";
}

TEST(SentencePieceRows, T4_StepsOutOfTheArray) {
  EXPECT_EQ(charsmap_code([](auto&) {}), "no error");
  EXPECT_EQ(charsmap_code([](auto& b) { b.units[0] = 0xFFFFFC00U; }), "spm.charsmap") << "the first step";
  EXPECT_EQ(charsmap_code([](auto& b) { b.units[0] |= 0x200U; }), "spm.charsmap") << "a long step";
  EXPECT_EQ(charsmap_code([](auto& b) { b.units[256U ^ 'a'] = 0x7FFFFC00U | 'a'; }), "spm.charsmap");
  EXPECT_EQ(charsmap_code([](auto& b) { b.units.resize(b.units.size() - 1); }), "spm.charsmap")
      << "a last block that one byte leaves";
}

TEST(SentencePieceRows, T4_LeavesOutOfTheText) {
  const auto leaf = [](std::uint32_t value) {
    return charsmap_code([&](CharsmapBuilder& b) {
      for (std::uint32_t& unit : b.units) {
        if (unit == (0x80000000U | 2U)) unit = 0x80000000U | value;  // "yy"
      }
    });
  };
  EXPECT_EQ(leaf(2), "no error");
  EXPECT_EQ(leaf(4), "no error") << "the NUL at the end: replaced by nothing";
  EXPECT_EQ(leaf(5), "spm.charsmap");
  EXPECT_EQ(leaf(0x7FFFFFFF), "spm.charsmap");
}

TEST(SentencePieceRows, T4_RulesWithoutEnd) {
  EXPECT_EQ(charsmap_code([](CharsmapBuilder& b) {
              const std::uint32_t at = 256U ^ 'c';
              b.units[at] = (at ^ 256U) << 10U | 'c';  // back to where it came from
            }),
            "spm.charsmap");
}

TEST(SentencePieceRows, T4_RulesThatBeginAlike) {
  CharsmapBuilder b;
  for (size_t n = 1; n <= 32; ++n) b.rule(std::string(n, 'a'), "b");
  EXPECT_EQ(charsmap_code(b.build()), "no error");
  b.rule(std::string(33, 'a'), "b");
  EXPECT_EQ(charsmap_code(b.build()), "spm.charsmap") << "the library has room for 32";
}

TEST(SentencePieceRows, T4_SizesAndReplacements) {
  const std::string sound = CharsmapBuilder().rule("a", "b").build();
  EXPECT_EQ(charsmap_code(sound), "no error");
  for (size_t n = 1; n < 12; ++n) EXPECT_EQ(charsmap_code(sound.substr(0, n)), "spm.charsmap") << n;
  EXPECT_EQ(charsmap_code(sound.substr(0, sound.size() - 1)), "spm.charsmap") << "no NUL at the end";
  const auto with_size = [&](std::uint32_t size) {
    std::string changed = sound;
    std::memcpy(changed.data(), &size, 4);
    return charsmap_code(changed);
  };
  const auto size = static_cast<std::uint32_t>(sound.size() - 6);
  EXPECT_EQ(with_size(size), "no error");
  for (const std::uint32_t wrong : {0U, size + 1, size + 2, size + 4, 0xFFFFFFFFU, 0x80000000U, size - 1})
    EXPECT_EQ(with_size(wrong), "spm.charsmap") << wrong;
  EXPECT_EQ(charsmap_code(CharsmapBuilder().rule("a", "\xFF").build()), "spm.charsmap");
  EXPECT_EQ(charsmap_code(CharsmapBuilder().rule("a", std::string(kMaxReplacementBytes, 'b')).build()),
            "no error");
  EXPECT_EQ(charsmap_code(CharsmapBuilder().rule("a", std::string(kMaxReplacementBytes + 1, 'b')).build()),
            "spm.charsmap");
  EXPECT_EQ(charsmap_code(std::string(kMaxCharsmapBytes + 1, '\0')), "spm.charsmap");
}

TEST(SentencePieceRows, T4_InAFileToo) {
  EXPECT_EQ(code([](SentencePieceFile& f) { f.charsmap = std::string(2000, '\xFF'); }), "spm.charsmap");
}

// ---- T5, T7, T8, T9 ---------------------------------------------------------------------------------------

TEST(SentencePieceRows, T5_TheUnknownPiece) {
  EXPECT_EQ(code([](SentencePieceFile& f) { f.pieces[0].type = Type::normal; }), "spm.unk");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.pieces[1].type = Type::unknown; }), "spm.unk");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.unknown_id = 1; }), "spm.unk");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.unknown_id = -1; }), "spm.unk");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.unknown_id = 1'000'000; }), "spm.unk");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.unknown_surface = "\xFF"; }), "spm.unk");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.unknown_surface = std::string(kMaxPieceBytes + 1, '?'); }),
            "spm.unk");
}

TEST(SentencePieceRows, T7_BytePieces) {
  EXPECT_EQ(code([](SentencePieceFile& f) { f.pieces[3 + 0x41].text = "<0xZZ>"; }), "spm.byte_piece");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.pieces[3 + 0x41].text = "<0x-1>"; }), "spm.byte_piece");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.pieces[3 + 0xAB].text = "<0xab>"; }), "spm.byte_piece");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.pieces[3 + 0x41].type = Type::normal; }), "spm.byte_piece");
  EXPECT_EQ(code([](SentencePieceFile& f) { f.byte_fallback = false; }), "spm.byte_piece");
  const ErrorFields f =
      refusal([](SentencePieceFile& file) { file.pieces.erase(file.pieces.begin() + 3 + 0x41); });
  EXPECT_EQ(f.code, "spm.byte_piece");
  EXPECT_THAT(f.found, HasSubstr("<0x41>"));
}

TEST(SentencePieceRows, T8_OtherAlgorithms) {
  for (const int algorithm : {0, 3, 4, 5, 1000})
    EXPECT_EQ(code([&](SentencePieceFile& f) { f.algorithm = static_cast<Algorithm>(algorithm); }),
              "spm.unsupported");
  ProtoWriter spec;
  spec.bytes(2, std::string(300, 'x'));
  ProtoWriter denormalizer;
  denormalizer.bytes(5, spec.message());
  EXPECT_EQ(code_of(tiny() + denormalizer.message()), "spm.unsupported");
}

TEST(SentencePieceRows, T9_IdsOutOfRange) {
  const test::TemporaryFolder folder;
  const Tokenizer t = Tokenizer::from_sentencepiece(folder.write("t.model", tiny()));
  EXPECT_EQ(t.vocab_size(), 279);
  EXPECT_EQ(test::code_of([&] { t.decode({278}); }), "no error");
  for (const TokenId id : {TokenId{279}, TokenId{-1}, TokenId{1} << 40})
    EXPECT_EQ(test::code_of([&] { t.decode({id}); }), "arg.range");
}

}  // namespace
}  // namespace safetylock
