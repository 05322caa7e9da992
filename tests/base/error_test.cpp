#include "safetylock/error.h"

#include <gtest/gtest.h>

#include "base/checked.h"

namespace safetylock {
namespace {

Error with_code(const std::string& code) {
  return Error({code, "", "", "", "", ""});
}

TEST(Error, LineNamesEveryField) {
  const Error e({"gguf.magic", "m.gguf", "byte 0", "\"GGUF\"", "\"GGML\"", "Convert it"});
  EXPECT_STREQ(e.what(), "[gguf.magic] m.gguf: byte 0: expected \"GGUF\", found \"GGML\". Convert it");
  EXPECT_EQ(e.fields().where, "byte 0");
  EXPECT_EQ(e.code(), "gguf.magic");
}

TEST(Error, LineLeavesOutEmptyFields) {
  EXPECT_STREQ(Error({"io.empty", "f", "", "", "0 bytes", ""}).what(), "[io.empty] f: found 0 bytes");
  EXPECT_STREQ(with_code("run.x").what(), "[run.x]");
}

// The numbers of design.md section 4.
TEST(Error, ExitCodes) {
  EXPECT_EQ(exit_code(with_code("run.interrupted")), 130);
  EXPECT_EQ(exit_code(with_code("run.failed")), 1);
  EXPECT_EQ(exit_code(with_code("io.write")), 1);
  EXPECT_EQ(exit_code(with_code("limit.memory")), 1);
  EXPECT_EQ(exit_code(with_code("resource.memory")), 1);
  EXPECT_EQ(exit_code(with_code("arg.alpha")), 2);
  EXPECT_EQ(exit_code(with_code("bind.model")), 4);
  EXPECT_EQ(exit_code(with_code("lock.signature")), 4);
  EXPECT_EQ(exit_code(with_code("check.margin")), 5);
  for (const char* code :
       {"io.open", "io.truncated", "gguf.magic", "st.offset", "cfg.range", "lora.target", "data.empty",
        "limit.file_size", "lock.digest", "json.syntax", "num.nonfinite", "model.tensor_missing"}) {
    EXPECT_EQ(exit_code(with_code(code)), 3) << code;
  }
}

TEST(EscapeUntrusted, ControlsQuotesAndTerminalEscapes) {
  EXPECT_EQ(escape_untrusted("plain text 123"), "plain text 123");
  EXPECT_EQ(escape_untrusted("a\x1b[31mb\n\"c\"\\"), "a\\x1B[31mb\\x0A\\x22c\\x22\\x5C");
  EXPECT_EQ(escape_untrusted(std::string_view("\0\x7f", 2)), "\\x00\\x7F");
  EXPECT_EQ(escape_untrusted("\xC2\x9B"), "\\u{9B}");  // C1: an escape sequence starter on some terminals
}

TEST(EscapeUntrusted, BidiMarksAndInvalidBytes) {
  EXPECT_EQ(escape_untrusted("a\u202Eb"), "a\\u{202E}b");
  EXPECT_EQ(escape_untrusted("\u200B\uFEFF\u2066"), "\\u{200B}\\u{FEFF}\\u{2066}");
  EXPECT_EQ(escape_untrusted("\xFFx\xC3"), "\\xFFx\\xC3");
  EXPECT_EQ(escape_untrusted("한글 é"), "한글 é");
}

TEST(EscapeUntrusted, CutsAtTheLimitWithoutSplittingCharacters) {
  const std::string exact(200, 'x');
  EXPECT_EQ(escape_untrusted(exact), exact);
  EXPECT_EQ(escape_untrusted(exact + "y"), exact + "...");
  EXPECT_EQ(escape_untrusted("ab한", 4), "ab...");
  EXPECT_EQ(escape_untrusted("ab\n", 5), "ab...");
}

TEST(Checked, OverflowIsNoValue) {
  const std::uint64_t big = std::uint64_t{1} << 32;
  EXPECT_EQ(checked::mul(big, big - 1), big * (big - 1));
  EXPECT_EQ(checked::mul(big, big), std::nullopt);
  EXPECT_EQ(checked::add(UINT64_MAX, 0), UINT64_MAX);
  EXPECT_EQ(checked::add(UINT64_MAX, 1), std::nullopt);
}

TEST(Checked, ProductSeesOverflowBehindAZero) {
  const std::uint64_t big = std::uint64_t{1} << 40;
  const auto product = [](std::vector<std::uint64_t> v) { return checked::product(v); };
  EXPECT_EQ(product({}), 1U);
  EXPECT_EQ(product({3, 0, 5}), 0U);
  EXPECT_EQ(product({big, 0, big}), std::nullopt);
  EXPECT_EQ(product({7, 6}), 42U);
}

}  // namespace
}  // namespace safetylock
