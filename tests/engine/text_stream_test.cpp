#include "engine/text_stream.h"

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"

namespace safetylock {
namespace {

using Pieces = std::vector<std::string>;

/// What each piece yields, and at last what finish() does.
Pieces run(const Pieces& pieces, std::vector<std::string> stop = {}) {
  TextStream stream(std::move(stop));
  Pieces out;
  for (const std::string& piece : pieces) out.push_back(stream.push(piece));
  out.push_back(stream.finish());
  return out;
}

std::string joined(const Pieces& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

Pieces bytes_of(const std::string& text) {
  Pieces bytes;
  for (const char c : text) bytes.emplace_back(1, c);
  return bytes;
}

TEST(TextStream, HoldsACharacterBackUntilItIsWhole) {
  EXPECT_EQ(run({"a\xF0\x9F", "\x99", "\x82z"}), (Pieces{"a", "", "🙂z", ""}));
  EXPECT_EQ(run({"中\xE6", "\x96\x87"}), (Pieces{"中", "文", ""}));
  EXPECT_EQ(run({}), Pieces{""});
}

TEST(TextStream, BytesThatAreNoCharacterBecomeReplacementsAsSoonAsThatIsCertain) {
  EXPECT_EQ(run({"\xFF", "a"}), (Pieces{"\uFFFD", "a", ""}));
  EXPECT_EQ(run({"\xE4\xB8", "a"}), (Pieces{"", "\uFFFDa", ""}));
  EXPECT_EQ(run({"\xE0", "\x80"}), (Pieces{"", "\uFFFD\uFFFD", ""})) << "80 cannot follow E0";
  EXPECT_EQ(run({"ok \xF0\x9F\x99"}), (Pieces{"ok ", "\uFFFD"})) << "cut off at the end";
}

// Everything is emitted, in whole characters and as decoding it all at once would give it.
TEST(TextStream, PiecesTogetherEqualTheWholeHoweverItIsCut) {
  const std::string text =
      "Grüße, 世界! 👩‍👩‍👧 e\xCC\x81 \xF0\x9F\x87\xA9\xF0\x9F\x87\xAA \xE2\x82 \xC0\x80 "
      "\xED\xA0\x80 "
      "\xF4\x90\x80\x80 \xF0\x9F";
  std::mt19937_64 random(5);
  for (int round = 0; round < 2000; ++round) {
    Pieces pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t length = random() % 6;  // 0: a token without text
      pieces.push_back(text.substr(at, length));
      at += length;
    }
    const Pieces out = run(pieces);
    for (const std::string& piece : out) ASSERT_FALSE(utf8::find_invalid(piece));
    ASSERT_EQ(joined(out), utf8::to_valid(text));
  }
}

// As above over random bytes, most of which are leads and continuations.
TEST(TextStream, RandomBytesGiveWhatDecodingThemAtOnceGives) {
  const std::string alphabet = "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x99\x82\xED\xF4\x80\xBF\xFF";
  std::mt19937_64 random(6);
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += alphabet[random() % alphabet.size()];
    ASSERT_EQ(joined(run(bytes_of(text))), utf8::to_valid(text)) << testing::PrintToString(text);
  }
}

TEST(TextStream, EndsBeforeAStopString) {
  EXPECT_EQ(run({"one END two", " three"}, {"END"}), (Pieces{"one ", "", ""}));
  EXPECT_EQ(run({"END"}, {"END"}), (Pieces{"", ""}));
  EXPECT_EQ(run({"no stop"}, {"END"}), (Pieces{"no stop", ""}));
}

TEST(TextStream, StopStringsMatchAcrossPieces) {
  EXPECT_EQ(run({"a E", "N", "D b"}, {"END"}), (Pieces{"a ", "", "", ""}));
  EXPECT_EQ(run({"a\n", "\nb"}, {"\n\n"}), (Pieces{"a", "", ""}));
  EXPECT_EQ(run({"x\xF0\x9F", "\x9B\x91y"}, {"🛑"}), (Pieces{"x", "", ""}));
}

TEST(TextStream, WhatOnlyBeginsLikeAStopStringIsShownOnceThatIsCertain) {
  EXPECT_EQ(run({"a E", "N", "x"}, {"END"}), (Pieces{"a ", "", "ENx", ""}));
  EXPECT_EQ(run({"a EN"}, {"END"}), (Pieces{"a ", "EN"}));
  EXPECT_EQ(run({"aab", "aab", "aac"}, {"aabaac"}), (Pieces{"", "aab", "", ""}));
}

TEST(TextStream, TheStopStringThatIsCompleteFirstWins) {
  EXPECT_EQ(joined(run({"xabcd"}, {"abcd", "bc"})), "xa");
  EXPECT_EQ(joined(run({"xabcd"}, {"bc", "abcd"})), "xa");
  EXPECT_EQ(joined(run({"xabc"}, {"bc", "abc"})), "x") << "of two that end together, the longer";
  EXPECT_EQ(joined(run({"xabc"}, {"abc", "bc"})), "x");
}

TEST(TextStream, StoppedSaysWhy) {
  TextStream stream({"END"});
  EXPECT_EQ(stream.push("a EN"), "a ");
  EXPECT_FALSE(stream.stopped());
  EXPECT_EQ(stream.push("D"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.push("more"), "");
}

/// The rule, written down the slow way.
std::string until_stop(const std::string& text, const std::vector<std::string>& stop) {
  for (size_t end = 0; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& s : stop) {
      if (std::string_view(text).substr(0, end).ends_with(s)) longest = std::max(longest, s.size());
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

TEST(TextStream, StopStringsAreFoundHoweverTheTextIsCut) {
  std::mt19937_64 random(9);
  const auto word = [&](size_t length) {
    std::string w;
    for (size_t i = 0; i < length; ++i) w += std::array{"a", "b", "é"}[random() % 3];
    return w;
  };
  for (int round = 0; round < 5000; ++round) {
    const std::string text = word(14);
    std::vector<std::string> stop;
    for (size_t i = 0; i <= random() % 3; ++i) stop.push_back(word(2 + random() % 4));
    const std::string expected = until_stop(text, stop);
    ASSERT_EQ(joined(run({text}, stop)), expected);
    ASSERT_EQ(joined(run(bytes_of(text), stop)), expected);
    std::string shown;
    for (const std::string& piece : run(bytes_of(text), stop)) {
      shown += piece;
      ASSERT_TRUE(expected.starts_with(shown)) << "nothing is taken back";
    }
  }
}

}  // namespace
}  // namespace safetylock
