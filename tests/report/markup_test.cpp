#include "report/markup.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace safetylock::report {
namespace {

TEST(Markup, NothingOfATextIsMarkup) {
  EXPECT_EQ(escaped("<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;");
  EXPECT_EQ(escaped("\" onload='x' &amp;"), "&quot; onload=&#39;x&#39; &amp;amp;");
  EXPECT_EQ(escaped("plain é 日本 😀\n\ttab"), "plain é 日本 😀\n\ttab");
}

TEST(Markup, WhatCannotBeSeenIsShown) {
  EXPECT_EQ(escaped(std::string_view("a\0b\x1b[31m\x7f", 9)), "a\\u{0}b\\u{1B}[31m\\u{7F}");
  EXPECT_EQ(escaped("a\r\nb"), "a\\u{D}\nb");
  EXPECT_EQ(escaped("\u202Eevil\u2066\u200B\uFEFF"), "\\u{202E}evil\\u{2066}\\u{200B}\\u{FEFF}");
  EXPECT_EQ(escaped("\u061C\u00AD\u2028"), "\\u{61C}\\u{AD}\\u{2028}");
  EXPECT_EQ(escaped("\U000E0041\uFFFE\U0001FFFF"), "\\u{E0041}\\u{FFFE}\\u{1FFFF}");
  EXPECT_EQ(escaped("\u0085"), "\\u{85}");  // a control character of its own, not the byte 0x85
}

TEST(Markup, BytesThatAreNoUtf8) {
  EXPECT_EQ(escaped("a\xFF\xC0\x80z"), "a\uFFFD\uFFFD\uFFFDz");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = {'x', static_cast<char>(byte), 'y'};
    EXPECT_FALSE(utf8::find_invalid(escaped(text))) << byte;
  }
}

TEST(Markup, LongTextsAreCutAtACharacter) {
  EXPECT_EQ(cut("short", 5), "short");
  const std::string text = "ab" + std::string("é") + "cd";
  EXPECT_EQ(cut(text, 3), "ab … (cut: 6 bytes in all)");
  EXPECT_EQ(cut(text, 4), "abé … (cut: 6 bytes in all)");
  EXPECT_LT(name_text(std::string(100'000, '<')).size(), 1000U);
  EXPECT_EQ(name_text("a\nb\tc"), "a b c");
}

}  // namespace
}  // namespace safetylock::report
