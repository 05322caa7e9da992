#include "base/utf8.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

// Encodes by the arithmetic of RFC 3629 section 3, written apart from the library.
std::string encode(std::uint32_t c) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 + ((c >> shift) % 64)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(192 + c / 64), tail(0)};
  if (c < 0x10000) return {static_cast<char>(224 + c / 4096), tail(6), tail(0)};
  return {static_cast<char>(240 + c / 262144), tail(12), tail(6), tail(0)};
}

bool is_scalar(std::uint32_t c) {
  return c < 0xD800 || (c >= 0xE000 && c < 0x110000);
}

TEST(Utf8, EveryCodePointDecodesAndEncodes) {
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    const std::string bytes = encode(c) + "x";
    const utf8::Decoded d = utf8::decode(bytes);
    if (!is_scalar(c)) {
      ASSERT_FALSE(d.valid) << c;
      continue;
    }
    ASSERT_TRUE(d.valid) << c;
    ASSERT_EQ(d.code_point, c);
    ASSERT_EQ(d.length, bytes.size() - 1) << c;
    std::string out;
    utf8::append(out, c);
    ASSERT_EQ(out, bytes.substr(0, bytes.size() - 1)) << c;
  }
}

// All strings of up to three bytes from all leads: valid exactly when they spell a scalar value.
TEST(Utf8, EveryTwoAndThreeByteStringIsJudgedRight) {
  std::vector<bool> valid(1 << 24, false);
  for (std::uint32_t c = 0x80; c < 0x10000; ++c) {
    if (!is_scalar(c)) continue;
    const std::string s = encode(c);
    std::uint32_t key = 0;
    for (const char b : s) key = key << 8 | static_cast<unsigned char>(b);
    valid[key] = true;
  }
  for (std::uint32_t lead = 0x80; lead < 0xF0; ++lead) {
    for (std::uint32_t rest = 0; rest < 0x10000; ++rest) {
      const std::string s = {static_cast<char>(lead), static_cast<char>(rest >> 8),
                             static_cast<char>(rest & 0xFF)};
      const bool two = valid[lead << 8 | rest >> 8];
      const bool three = valid[lead << 16 | rest];
      const utf8::Decoded d = utf8::decode(s);
      ASSERT_EQ(d.valid, two || three) << std::hex << lead << ' ' << rest;
      if (d.valid) {
        ASSERT_EQ(d.length, two ? 2U : 3U);
      }
    }
  }
}

TEST(Utf8, FourByteBorders) {
  for (const char* good : {"\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) EXPECT_TRUE(utf8::decode(good).valid);
  for (const char* bad : {"\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF8\x88\x80\x80\x80",
                          "\xF0\x90\x80", "\xF0\x90\x80x", "\xF0\x90x\x80"}) {
    EXPECT_FALSE(utf8::decode(bad).valid) << bad;
  }
}

TEST(Utf8, FindInvalidGivesTheOffset) {
  EXPECT_EQ(utf8::find_invalid("abc한"), std::nullopt);
  EXPECT_EQ(utf8::find_invalid(""), std::nullopt);
  EXPECT_EQ(utf8::find_invalid("é\xFF"), 2U);
  EXPECT_EQ(utf8::find_invalid("ab\xE2\x82"), 2U);
}

std::string from_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

TEST(Utf8, UnfinishedSuffixIsWhatMoreBytesCouldComplete) {
  const std::vector<std::pair<std::string, size_t>> cases = {{"", 0},
                                                             {"a", 0},
                                                             {"\xC3", 1},
                                                             {"\xC3\xA9", 0},
                                                             {"a\xE4\xB8", 2},
                                                             {"\xF0\x9F\x99", 3},
                                                             {"\xF0\x9F", 2},
                                                             {"\xF0\x9F\x99\x82", 0},
                                                             {"\x80", 0},
                                                             {"\xC0", 0},
                                                             {"\xE0\x80", 0},
                                                             {"\xED\xA0", 0},
                                                             {"\xF4\x90", 0},
                                                             {"\xFF", 0},
                                                             {"\xE4\xB8\xF0", 1}};
  for (const auto& [bytes, length] : cases)
    EXPECT_EQ(utf8::unfinished_suffix(bytes), length) << testing::PrintToString(bytes);
}

TEST(Utf8, ToValidEqualsPythonsReplace) {
  const Json cases = parse_json(test::golden("base/utf8_replace.json"), "utf8_replace.json");
  ASSERT_GT(cases.size(), 1000U);
  for (const Json& row : cases) {
    const std::string hex = row[0].get<std::string>();
    EXPECT_EQ(utf8::to_valid(from_hex(hex)), from_hex(row[1].get<std::string>())) << hex;
  }
}

}  // namespace
}  // namespace safetylock
