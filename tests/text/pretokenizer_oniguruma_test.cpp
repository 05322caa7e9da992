// The splits of every pattern equal those of Oniguruma, the engine of Hugging Face's wheels, which tests
// alone link.
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "text/oniguruma.h"
#include "text/pretokenizer.h"

namespace safetylock {
namespace {

constexpr int kTexts = 1'000'000;  // a pattern
constexpr std::array kKinds{PreTokenizerKind::gpt2,  PreTokenizerKind::smollm, PreTokenizerKind::llama3,
                            PreTokenizerKind::qwen2, PreTokenizerKind::tekken, PreTokenizerKind::gpt4o};

using test::Oniguruma;
using test::Words;

// Mixed scripts, marks, digits of all kinds, every White_Space and its neighbours, controls, and what the
// patterns name themselves.
class Texts {
 public:
  std::string next() {
    std::string text;
    for (size_t pieces = 1 + random_() % 6; pieces > 0; --pieces) append_piece(text);
    return text;
  }

 private:
  template <typename List>
  const auto& one_of(const List& list) {
    return list[random_() % list.size()];
  }
  char32_t between(char32_t first, char32_t last) {
    return first + static_cast<char32_t>(random_() % (last - first + 1));
  }

  void append_piece(std::string& text) {
    static const std::vector<std::string> kWords{
        "'s",     "'T",      "'re",     "'VE",       "'m",         "'ll",
        "'D",     "'\u017F", "\u2019s", "iPhone",    "HTTPServer", " a",
        "\r\n",   "/",       "//\n",    "!!",        "?",          "\u00A0\n",
        "McDon",  "don't",   "12345",   " 7",        "x1y22",      "\U0001F468\u200D\U0001F469",
        "\u00E9", "e\u0301", "\u0130",  "\u01C5",    "\u02B0",     "\u00AA",
        "\u2164", "\u00BD",  "\u0BE7",  "\U0001D7D9"};
    static const std::vector<char32_t> kSpaces{0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x1C,   0x1F,
                                               0x20,   0x85,   0xA0,   0x1680, 0x180E, 0x2000, 0x2003,
                                               0x200A, 0x200B, 0x2028, 0x2029, 0x202F, 0x205F, 0x2060,
                                               0x3000, 0xFEFF, 0x20,   0x0A,   0x20};
    static const std::vector<std::pair<char32_t, char32_t>> kScripts{
        {'A', 'Z'},         {'a', 'z'},         {'0', '9'},         {0x00, 0x7F},       {0xC0, 0x24F},
        {0x250, 0x36F},     {0x370, 0x52F},     {0x590, 0x77F},     {0x900, 0xDFF},     {0xE00, 0xFDA},
        {0x1000, 0x10FF},   {0x13A0, 0x13FF},   {0x1C80, 0x1FFF},   {0x2000, 0x23FF},   {0x2460, 0x24FF},
        {0x2C00, 0x2DFF},   {0x3000, 0x30FF},   {0x4E00, 0x9FFC},   {0xA640, 0xA7BF},   {0xAC00, 0xD7A3},
        {0xE000, 0xE010},   {0xFB00, 0xFEFF},   {0xFF00, 0xFFEF},   {0x10400, 0x1044F}, {0x1D400, 0x1D7FF},
        {0x1E900, 0x1E95F}, {0x1F300, 0x1F64F}, {0x20000, 0x200FF}, {0xE0000, 0xE01EF}, {0x10FFF0, 0x10FFFF}};
    const unsigned kind = random_() % 8;
    if (kind < 2) {
      text += one_of(kWords);
    } else if (kind < 4) {
      for (size_t n = 1 + random_() % 4; n > 0; --n) utf8::append(text, one_of(kSpaces));
    } else if (kind == 4) {
      const char32_t c = one_of(kSpaces);
      for (size_t n = random_() % 30; n > 0; --n) utf8::append(text, c);
    } else {
      const auto& [first, last] = one_of(kScripts);
      for (size_t n = 1 + random_() % 8; n > 0; --n) utf8::append(text, between(first, last));
    }
  }

  std::mt19937 random_{20251125};
};

class OnigurumaSplits : public ::testing::TestWithParam<PreTokenizerKind> {};

TEST_P(OnigurumaSplits, AreEqual) {
  const PreTokenizerKind kind = GetParam();
  Oniguruma words(pattern_of(kind)), digits("\\p{N}");
  PreTokenizer ours(kind);
  Texts texts;
  Words expected, digits_apart, got;
  for (int i = 0; i < kTexts; ++i) {
    const std::string text = texts.next();
    expected.clear();
    got.clear();
    if (kind == PreTokenizerKind::smollm) {
      digits_apart.clear();
      digits.cut(text, 0, digits_apart);
      for (const auto& [begin, end] : digits_apart)
        words.cut(std::string_view(text).substr(begin, end - begin), begin, expected);
    } else {
      words.cut(text, 0, expected);
    }
    ours.for_each_word(text, [&](size_t begin, size_t end) { got.emplace_back(begin, end); });
    ASSERT_EQ(got, expected) << "text " << i << ": " << ::testing::PrintToString(text);
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, OnigurumaSplits, ::testing::ValuesIn(kKinds),
                         [](const auto& i) { return std::string(name_of(i.param)); });

}  // namespace
}  // namespace safetylock
