// The small parts below the tokenizer: byte alphabet, white space, patterns, normalisation, string matching.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "text/added_tokens.h"
#include "text/byte_alphabet.h"
#include "text/normalizer.h"
#include "text/pretokenizer.h"
#include "text/tiny_tokenizer.h"
#include "text/unicode.h"

namespace safetylock {
namespace {

using ::testing::ElementsAre;

TEST(ByteAlphabet, IsGpt2sTable) {
  EXPECT_EQ(byte_alphabet::symbol(' '), U'\u0120');
  EXPECT_EQ(byte_alphabet::symbol('\n'), U'\u010A');
  EXPECT_EQ(byte_alphabet::symbol(0xAD), U'\u0143');
  for (unsigned b = 0; b < 256; ++b) {
    std::string spelling;
    utf8::append(spelling, byte_alphabet::symbol(static_cast<unsigned char>(b)));
    EXPECT_EQ(spelling, test::spell_byte(b));
    EXPECT_EQ(byte_alphabet::to_bytes(spelling), std::string(1, static_cast<char>(b)));
  }
}

TEST(ByteAlphabet, WhatIsOutsideItHasNoBytes) {
  EXPECT_EQ(byte_alphabet::to_bytes("a b"), std::nullopt);
  EXPECT_EQ(byte_alphabet::to_bytes("\u0144"), std::nullopt);
  EXPECT_EQ(byte_alphabet::to_bytes("\u00AD"), std::nullopt);
  EXPECT_EQ(byte_alphabet::to_bytes("中"), std::nullopt);
  EXPECT_EQ(byte_alphabet::decode_token("a b"), "a b");
  EXPECT_EQ(byte_alphabet::decode_token("Ġé"), " \xE9");
}

TEST(WhiteSpace, IsThePropertyOfTheUnicodeCharacterDatabase) {
  std::vector<char32_t> found;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (unicode::is_white_space(c)) found.push_back(c);
  }
  // PropList.txt, White_Space, 25 code points.
  EXPECT_THAT(found, ElementsAre(9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003,
                                 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200A, 0x2028, 0x2029,
                                 0x202F, 0x205F, 0x3000));
}

TEST(WhiteSpace, IsCountedFromBothEnds) {
  const std::string text = "\u3000 a\u00A0\n";
  EXPECT_EQ(unicode::leading_white_space(text), 4U);
  EXPECT_EQ(unicode::trailing_white_space(text), 3U);
  EXPECT_EQ(unicode::trailing_white_space("\u3000"), 3U);
  EXPECT_EQ(unicode::leading_white_space(""), 0U);
}

TEST(Words, StartAndEnd) {
  EXPECT_TRUE(unicode::starts_with_word("é!"));
  EXPECT_TRUE(unicode::ends_with_word("!_"));
  EXPECT_TRUE(unicode::ends_with_word("a\u0301"));
  EXPECT_FALSE(unicode::starts_with_word("-a"));
  EXPECT_FALSE(unicode::ends_with_word("a²"));  // category No
  EXPECT_FALSE(unicode::starts_with_word(""));
}

std::vector<std::string> words(PreTokenizerKind kind, const std::string& text) {
  std::vector<std::string> out;
  PreTokenizer(kind).for_each_word(
      text, [&](size_t begin, size_t end) { out.push_back(text.substr(begin, end - begin)); });
  return out;
}

// Expected pieces follow from reading the patterns; the comparison with Hugging Face is tokenizer_oracle.py.
TEST(PreTokenizer, CutsAsItsPatternSays) {
  const std::string text = "I'M at  12345 km\n\n x";
  EXPECT_THAT(words(PreTokenizerKind::gpt2, text),
              ElementsAre("I", "'", "M", " at", " ", " 12345", " km", "\n\n", " x"));
  EXPECT_THAT(words(PreTokenizerKind::smollm, text),
              ElementsAre("I", "'", "M", " at", "  ", "1", "2", "3", "4", "5", " km", "\n\n", " x"));
  EXPECT_THAT(words(PreTokenizerKind::llama3, text),
              ElementsAre("I", "'M", " at", " ", " ", "123", "45", " km", "\n\n", " x"));
  EXPECT_THAT(words(PreTokenizerKind::qwen2, text),
              ElementsAre("I", "'M", " at", " ", " ", "1", "2", "3", "4", "5", " km", "\n\n", " x"));
}

// U+180E is white space to PCRE2 but not to Unicode or Oniguruma.
TEST(PreTokenizer, WhiteSpaceIsUnicodes) {
  EXPECT_THAT(words(PreTokenizerKind::gpt2, "a \u180E"), ElementsAre("a", " \u180E"));
  EXPECT_THAT(words(PreTokenizerKind::gpt2, "a\u2003\u180E"), ElementsAre("a", "\u2003", "\u180E"));
}

TEST(PreTokenizer, PatternIsSelectedByExactMatchOnly) {
  const std::string gpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  EXPECT_EQ(pretokenizer_of_regex(gpt2), PreTokenizerKind::gpt2);
  EXPECT_EQ(pretokenizer_of_regex(gpt2 + " "), std::nullopt);
  EXPECT_EQ(pretokenizer_of_regex(""), std::nullopt);
}

// A run of a million characters of one kind: no stack overflow, no quadratic time.
TEST(PreTokenizer, LongRunsAreCutInLinearTime) {
  for (const std::string unit : {" ", "a", "\n", "中", "-", "1", " \n", "aA"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    for (const auto kind : {PreTokenizerKind::gpt2, PreTokenizerKind::smollm, PreTokenizerKind::llama3,
                            PreTokenizerKind::qwen2}) {
      size_t at = 0;
      PreTokenizer(kind).for_each_word(text, [&](size_t begin, size_t end) {
        ASSERT_EQ(begin, at);
        at = end;
      });
      EXPECT_EQ(at, text.size());
    }
  }
}

TEST(WithExplicitWhiteSpace, RewritesClassesAndKeepsTheRest) {
  const std::string out = with_explicit_white_space(R"(\s+(?!\S)|[^\s\p{L}])");
  EXPECT_EQ(out.find("\\s"), std::string::npos);
  EXPECT_EQ(out.find("\\S"), std::string::npos);
  EXPECT_TRUE(out.starts_with("[\\x{9}-"));
  EXPECT_TRUE(out.ends_with("\\p{L}]"));
  EXPECT_EQ(with_explicit_white_space(R"(a[b]\p{N})"), R"(a[b]\p{N})");
}

struct NfcCase {
  const char* text;
  const char* normalized;
};

// Unicode Standard Annex 15, tables and figures 3 to 6, and NormalizationTest.txt.
TEST(Nfc, NormalisesTheExamplesOfTheStandard) {
  for (const auto& [text, normalized] : {
           NfcCase{"plain", "plain"},
           {"\u212B", "\u00C5"},
           {"\u2126", "\u03A9"},
           {"s\u0323\u0307", "\u1E69"},
           {"\u1E0B\u0323", "\u1E0D\u0307"},
           {"q\u0307\u0323", "q\u0323\u0307"},
           {"\u0958", "\u0915\u093C"},
           {"\uFB01", "\uFB01"},
           {"\u1100\u1161\u11A8", "\uAC01"},
           {"\uAC00\u11A8", "\uAC01"},
           {"a\u0315\u0300\u05AE\u0300b", "\u00E0\u05AE\u0300\u0315b"},
           {"\uAC00\u11A7", "\uAC00\u11A7"},
           {"\u0344", "\u0308\u0301"},
           {"\u0301\u0323", "\u0323\u0301"},
       }) {
    EXPECT_EQ(Normalizer::nfc()(text).text(), normalized);
    EXPECT_EQ(Normalizer()(text).text(), text);
  }
}

using Place = std::pair<size_t, size_t>;

TEST(Nfc, KnowsTheOriginalPlaceOfEachPart) {
  const std::string text = "xe\u0301\u0958y";  // bytes: x 0, e 1, U+0301 2-3, U+0958 4-6, y 7
  const NormalizedText n = Normalizer::nfc()(text, 100);
  ASSERT_EQ(n.text(), "x\u00E9\u0915\u093Cy");  // 1 + 2 + 3 + 3 + 1 bytes
  const auto range = [&](size_t begin, size_t end) {
    const ByteRange r = n.original_range(begin, end);
    return Place(r.begin, r.end);
  };
  EXPECT_EQ(range(0, 1), Place(100, 101));
  EXPECT_EQ(range(1, 3), Place(101, 102)) << "the first of the characters it stands for, as Hugging Face";
  EXPECT_EQ(range(3, 6), Place(104, 107));
  EXPECT_EQ(range(6, 9), Place(104, 107)) << "an additional character shares the place";
  EXPECT_EQ(range(9, 10), Place(107, 108));
  EXPECT_EQ(range(0, 10), Place(100, 108));
}

TEST(NormalizedText, RangesAreWholeCharacters) {
  const NormalizedText n = Normalizer()("a中b");
  EXPECT_EQ(n.original_range(2, 3).begin, 1U);
  EXPECT_EQ(n.original_range(2, 3).end, 4U);
}

TEST(StringMatcher, EqualsLeftmostLongestByDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 500; ++round) {
    std::vector<std::string> strings;
    for (int i = 0; i < 6; ++i) {
      std::string s(1 + random() % 4, 'a');
      for (char& c : s) c = static_cast<char>('a' + random() % 2);
      if (std::find(strings.begin(), strings.end(), s) == strings.end()) strings.push_back(s);
    }
    std::string text(random() % 20, 'a');
    for (char& c : text) c = static_cast<char>('a' + random() % 3);
    const size_t refused = random() % strings.size();
    const auto found =
        StringMatcher(strings).find(text, 0, [&](const auto& m) { return m.index != refused; });
    size_t begin = 0, length = 0;
    for (; begin < text.size() && length == 0; ++begin) {
      for (size_t i = 0; i < strings.size(); ++i) {
        if (i != refused && text.compare(begin, strings[i].size(), strings[i]) == 0)
          length = std::max(length, strings[i].size());
      }
    }
    ASSERT_EQ(found.has_value(), length > 0);
    if (found) {
      ASSERT_EQ(std::pair(found->begin, found->end), std::pair(begin - 1, begin - 1 + length));
    }
  }
}

}  // namespace
}  // namespace safetylock
