// Hostile and sound GGUF bytes; test names start with the row of the threat table (docs/threat-model.md).
#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"
#include "support/gguf_builder.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::bytes_of;
using test::GgufBuilder;

class Gguf : public testing::Test {
 protected:
  std::optional<ErrorFields> open(const std::string& bytes) {
    return test::error_of([&] { GgufFile file(folder_.write("m.gguf", bytes)); });
  }
  std::string code(const std::string& bytes) {
    const auto e = open(bytes);
    return e ? e->code : "no error";
  }
  std::string code(const GgufBuilder& b) { return code(b.build()); }

  // Two tensors and a few keys: enough to break in every way.
  static GgufBuilder small() {
    GgufBuilder b;
    b.string("general.architecture", "llama").u32("n", 7).strings("list", {"a", "bc", ""});
    b.tensor("one", {2, 4}, std::vector<float>(8, 1.0F)).tensor("two", {3}, {1, 2, 3});
    return b;
  }

  test::TemporaryFolder folder_;
};

TEST_F(Gguf, ReadsEveryKindOfValue) {
  GgufBuilder b = small();
  b.raw("u8", 0, "\xFF").raw("i8", 1, "\xFF").raw("u16", 2, bytes_of<std::uint16_t>(65535));
  b.raw("i16", 3, bytes_of<std::int16_t>(-2)).raw("i32", 5, bytes_of<std::int32_t>(-3)).boolean("yes", true);
  b.raw("i64", 11, bytes_of(INT64_MIN)).raw("u64", 10, bytes_of(UINT64_MAX)).raw("f64", 12, bytes_of(0.1));
  b.f32("f32", 1e-5F).i32s("ids", {1, -2, 3});
  const GgufFile f(folder_.write("m.gguf", b.build()));
  EXPECT_EQ(f.version(), 3U);
  EXPECT_EQ(f.architecture(), "llama");
  EXPECT_EQ(f.integer("u8", 0, 255), 255);
  EXPECT_EQ(f.integer("i8", -1, 0), -1);
  EXPECT_EQ(f.integer("u16", 0, 65535), 65535);
  EXPECT_EQ(f.integer("i16", -2, 0), -2);
  EXPECT_EQ(f.integer("i32", -3, 0), -3);
  EXPECT_EQ(f.integer("i64", INT64_MIN, 0), INT64_MIN);
  EXPECT_EQ(std::get<std::uint64_t>(f.at("u64")), UINT64_MAX);
  EXPECT_EQ(f.number("f32"), double{1e-5F});
  EXPECT_EQ(f.number("f64"), 0.1);
  EXPECT_TRUE(f.boolean("yes"));
  EXPECT_EQ(f.strings("list"), (std::vector<std::string>{"a", "bc", ""}));
  EXPECT_EQ(f.integers("ids"), (std::vector<std::int64_t>{1, -2, 3}));
  EXPECT_EQ(f.entries().front().key, "general.architecture");
  EXPECT_EQ(f.entries().size(), 14U);
}

TEST_F(Gguf, TensorTableIsAbsoluteAndOutermostFirst) {
  const GgufFile f(folder_.write("m.gguf", small().build()));
  ASSERT_EQ(f.tensors().size(), 2U);
  const GgufTensor* one = f.find_tensor("one");
  const GgufTensor* two = f.find_tensor("two");
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->shape, (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(one->bytes, 32U);
  EXPECT_EQ(two->offset, one->offset + 32);
  std::vector<float> values(3);
  f.file_of(*two).read_at(two->offset, std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(f.find_tensor("three"), nullptr);
}

TEST_F(Gguf, ReadsVersion2AndAnotherAlignment) {
  GgufBuilder b = small();
  b.version = 2;
  b.u32("general.alignment", 64);
  b.alignment = 64;
  const GgufFile f(folder_.write("m.gguf", b.build()));
  EXPECT_EQ(f.version(), 2U);
  EXPECT_EQ(f.tensors()[1].offset % 64, 0U);
}

TEST_F(Gguf, TypedGettersNameKeyExpectedAndFound) {
  const GgufFile f(folder_.write("m.gguf", small().build()));
  EXPECT_EQ(test::code_of([&] { (void)f.at("none"); }), "cfg.missing");
  EXPECT_EQ(test::code_of([&] { (void)f.integer("general.architecture", 0, 9); }), "cfg.type");
  EXPECT_EQ(test::code_of([&] { (void)f.strings("n"); }), "cfg.type");
  EXPECT_EQ(test::code_of([&] { (void)f.number("n"); }), "cfg.type");
  const auto e = test::error_of([&] { (void)f.integer("n", 8, 9); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "cfg.range");
  EXPECT_EQ(e->where, "metadata \"n\"");
  EXPECT_EQ(e->expected, "8 to 9");
  EXPECT_EQ(e->found, "integer 7");
}

TEST_F(Gguf, F5_EveryTruncationIsRefused) {
  const std::string whole = small().build();
  ASSERT_EQ(code(whole), "no error");
  for (size_t n = 1; n < whole.size(); ++n) ASSERT_NE(code(whole.substr(0, n)), "no error") << n;
  EXPECT_EQ(code(whole.substr(0, 3)), "io.truncated");
  EXPECT_EQ(code(whole.substr(0, 12)), "io.truncated");
  EXPECT_EQ(code(whole.substr(0, whole.size() - 1)), "gguf.range");
}

TEST_F(Gguf, F12_WrongFormatSaysWhatItLooksLike) {
  const auto found = [&](const std::string& bytes) {
    const auto e = open(bytes);
    return e && e->code == "io.wrong_format" ? e->found : "not io.wrong_format";
  };
  EXPECT_EQ(found("<!DOCTYPE html><html>"), "an HTML page");
  EXPECT_EQ(found("\n  <HTML><body>Sign in"), "an HTML page");
  EXPECT_EQ(found("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), "a git-lfs pointer");
  EXPECT_EQ(found("\x1f\x8b\x08 and more"), "a gzip archive");
  EXPECT_EQ(found("PK\x03\x04 and more"), "a zip archive (or a PyTorch .bin/.pt pickle)");
}

TEST_F(Gguf, G1_MagicAndVersion) {
  GgufBuilder b = small();
  b.magic = "GGML";
  EXPECT_EQ(code(b), "gguf.magic");
  b.magic = "GGUF";
  for (const std::uint32_t v : {0U, 1U, 4U, 0xFFFFFFFFU}) {
    b.version = v;
    EXPECT_EQ(code(b), "gguf.version") << v;
  }
  b.version = 0x03000000;
  const auto e = open(b.build());
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "gguf.version");
  EXPECT_EQ(e->found, "version 3 in big-endian byte order");
}

TEST_F(Gguf, G2_CountsAboveTheFileAndAboveTheLimit) {
  for (const std::uint64_t n : {std::uint64_t{1000}, std::uint64_t{1} << 40, UINT64_MAX}) {
    GgufBuilder b = small();
    b.tensor_count = n;
    EXPECT_EQ(code(b), "gguf.count") << n;
    b = small();
    b.metadata_count = n;
    EXPECT_EQ(code(b), "gguf.count") << n;
  }
  GgufBuilder b;
  b.metadata_count = 70'000;
  EXPECT_EQ(code(b.build() + std::string(2'000'000, '\0')), "limit.metadata");
  b.metadata_count = 0;
  b.tensor_count = 300'000;
  EXPECT_EQ(code(b.build() + std::string(20'000'000, '\0')), "limit.tensors");
}

TEST_F(Gguf, G3_Strings) {
  for (const std::uint64_t length : {std::uint64_t{1} << 20, std::uint64_t{1} << 63, UINT64_MAX}) {
    EXPECT_EQ(code(small().raw("s", GgufBuilder::kString, bytes_of(length))), "gguf.string") << length;
  }
  EXPECT_EQ(code(small().u32("", 1)), "gguf.string");
  EXPECT_EQ(code(small().u32("bad\xFFkey", 1)), "gguf.string");
  EXPECT_EQ(code(small().tensor("bad\xC0\x80", {1}, {0})), "gguf.string");
  EXPECT_EQ(code(small().u32(std::string(65'535, 'k'), 1)), "no error");
  EXPECT_EQ(code(small().u32(std::string(65'536, 'k'), 1)), "limit.string");
  EXPECT_EQ(code(small().string("s", std::string((16 << 20) + 1, 'x'))), "limit.string");
}

TEST_F(Gguf, G4_Arrays) {
  const auto array = [](std::uint32_t type, std::uint64_t count, const std::string& body = "") {
    return bytes_of(type) + bytes_of(count) + body;
  };
  EXPECT_EQ(code(small().raw("a", 9, array(9, 1, array(4, 0)))), "gguf.array");  // of arrays
  EXPECT_EQ(code(small().raw("a", 9, array(13, 0))), "gguf.array");
  for (const std::uint64_t n : {std::uint64_t{1} << 32, std::uint64_t{1} << 61, UINT64_MAX}) {
    EXPECT_EQ(code(small().raw("a", 9, array(4, n))), "gguf.array") << n;
    EXPECT_EQ(code(small().raw("a", 9, array(8, n))), "gguf.array") << n;
  }
  EXPECT_EQ(code(small().raw("a", 9, array(10, 1, bytes_of(UINT64_MAX)))), "gguf.value");
  EXPECT_EQ(code(small().raw("a", 9, array(0, (1 << 25) + 1, std::string((1 << 25) + 1, 'x')))),
            "limit.array");
  EXPECT_EQ(code(small().raw("a", 9, array(8, 0))), "no error");
}

TEST_F(Gguf, G5_Values) {
  EXPECT_EQ(code(small().raw("v", 13, "xxxx")), "gguf.value");
  EXPECT_EQ(code(small().raw("v", 0xFFFFFFFF, "xxxx")), "gguf.value");
  EXPECT_EQ(code(small().raw("v", GgufBuilder::kBool, "\2")), "gguf.value");
  const GgufFile f(
      folder_.write("m.gguf", small().f32("nan", std::numeric_limits<float>::quiet_NaN()).build()));
  EXPECT_EQ(test::code_of([&] { (void)f.number("nan"); }), "gguf.value");
}

TEST_F(Gguf, G6_DuplicateKey) {
  const auto e = open(small().u32("n", 8).build());
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "gguf.duplicate");
  EXPECT_NE(e->found.find("\"n\" at offset "), std::string::npos);
}

TEST_F(Gguf, G6_DuplicateTensor) {
  EXPECT_EQ(code(small().tensor("one", {1}, {0})), "gguf.duplicate");
}

TEST_F(Gguf, G7_Shapes) {
  EXPECT_EQ(code(small().tensor("t", {}, {0})), "gguf.shape");
  EXPECT_EQ(code(small().tensor("t", {1, 1, 1, 1}, {0})), "no error");
  EXPECT_EQ(code(small().tensor("t", {1, 1, 1, 1, 1}, {0})), "gguf.shape");
  EXPECT_EQ(code(small().tensor("t", {4, 0}, {})), "gguf.shape");
  EXPECT_EQ(code(small().tensor("t", {UINT64_MAX}, {0})), "gguf.shape");  // -1
  EXPECT_EQ(code(small().tensor("t", {std::uint64_t{1} << 40, std::uint64_t{1} << 40}, {0})), "gguf.shape");
  // The count fits 64 bits, the bytes do not.
  EXPECT_EQ(code(small().tensor("t", {std::uint64_t{1} << 23, std::uint64_t{1} << 40}, {0})), "gguf.shape");
}

TEST_F(Gguf, G8_Types) {
  GgufBuilder b = small();
  b.tensors[0].type = 16;
  const auto e = open(b.build());
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "gguf.type");
  EXPECT_EQ(e->found, "IQ2_XXS (number 16)");
  EXPECT_NE(e->expected.find("Q4_K"), std::string::npos);
  for (const std::uint32_t type : {4U, 5U, 24U, 35U, 1000U}) {
    b.tensors[0].type = type;
    EXPECT_EQ(code(b), "gguf.type") << type;
  }
}

TEST_F(Gguf, G9_RowsOfWholeBlocks) {
  GgufBuilder b = small();
  b.tensors.push_back({"q", {3, 48}, 2, std::string(81, '\0'), std::nullopt});  // 144 values, but 48 a row
  EXPECT_EQ(code(b), "gguf.block");
  b.tensors.back() = {"q", {3, 32}, 2, std::string(54, '\0'), std::nullopt};
  EXPECT_EQ(code(b), "no error");
}

TEST_F(Gguf, G10_Alignment) {
  for (const std::uint32_t a : {0U, 1U, 4U, 24U, 33U, 1U << 21, 0xFFFFFFFFU}) {
    EXPECT_EQ(code(small().u32("general.alignment", a)), "gguf.alignment") << a;
  }
  EXPECT_EQ(code(small().string("general.alignment", "32")), "gguf.alignment");
  GgufBuilder b = small();
  b.tensors[1].offset = 33;
  EXPECT_EQ(code(b), "gguf.alignment");
}

TEST_F(Gguf, G11_TensorPastTheEnd) {
  GgufBuilder b = small();
  b.tensors[1].offset = 1 << 20;
  EXPECT_EQ(code(b), "gguf.range");
  b.tensors[1].offset = UINT64_MAX - 31;
  EXPECT_EQ(code(b), "gguf.range");
  b = small();
  b.tensors[1].shape = {300};
  EXPECT_EQ(code(b), "gguf.range");
}

TEST_F(Gguf, G11_OverlapHoleAndSurplus) {
  GgufBuilder b = small();
  b.tensors[1].offset = 0;
  EXPECT_EQ(code(b), "gguf.overlap");
  b = small();
  b.trailing = std::string(64, '\0');
  EXPECT_EQ(code(b), "gguf.range");
  b = small();
  b.tensors[1].offset = 64;
  b.trailing = std::string(32, '\0');
  EXPECT_EQ(code(b), "gguf.range");
  b = small();
  b.trailing = std::string(20, '\0');  // padding up to the alignment is legal
  EXPECT_EQ(code(b), "no error");
}

// Any byte changed to any of a few values: refused or read, never a crash (run under the sanitizers).
TEST_F(Gguf, EveryByteDamaged) {
  const std::string whole = small().build();
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const char c : {'\0', '\1', '\x7F', '\x80', '\xFF'}) {
      std::string damaged = whole;
      damaged[i] = c;
      (void)code(damaged);
    }
  }
}

}  // namespace
}  // namespace safetylock
