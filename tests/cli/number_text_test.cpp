#include "cli/number_text.h"

#include <gtest/gtest.h>

#include <clocale>

#include "support/errors.h"

namespace safetylock::cli {
namespace {

using test::code_of;

TEST(ParseInteger, ReadsWholeNumbersInRange) {
  EXPECT_EQ(parse_integer("--heads", "24", 1, 100), 24);
  EXPECT_EQ(parse_integer("--heads", "1", 1, 100), 1);
  EXPECT_EQ(parse_integer("--heads", "100", 1, 100), 100);
  EXPECT_EQ(parse_integer("--x", "-3", -5, 5), -3);
}

TEST(ParseInteger, RefusesEverythingElse) {
  for (const char* text :
       {"", "0", "101", "1.5", "1e2", "24 ", " 24", "0x10", "+5", "ten", "99999999999999999999"}) {
    EXPECT_EQ(code_of([&] { parse_integer("--heads", text, 1, 100); }), "arg.range") << text;
  }
  const auto error = test::error_of([] { parse_integer("--threads", "0", 1, 1024, "arg.threads"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "arg.threads");
  EXPECT_EQ(error->where, "--threads");
  EXPECT_EQ(error->expected, "a whole number from 1 to 1024");
  EXPECT_EQ(error->found, "\"0\"");
}

TEST(ParseNumber, R3_OnlyNumbersInRange) {
  EXPECT_EQ(parse_number("--top-p", "0.5", 0, 1), 0.5);
  EXPECT_EQ(parse_number("--top-p", "1", 0, 1), 1);
  EXPECT_EQ(parse_number("--top-p", "1e-3", 0, 1), 0.001);
  for (const char* text : {"nan", "inf", "-0.1", "1.01", "", "half", "0,5", "0.5 ", "+0.5"})
    EXPECT_EQ(code_of([&] { parse_number("--top-p", text, 0, 1); }), "arg.range") << text;
  const auto error = test::error_of([] { parse_number("--top-p", "2", 0.01, 1); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->where, "--top-p");
  EXPECT_EQ(error->expected, "a number from 0.01 to 1");
}

TEST(ParseAlpha, R1_OnlyStrengths) {
  EXPECT_EQ(parse_alpha("6"), 6);
  EXPECT_EQ(parse_alpha("0"), 0);
  EXPECT_EQ(parse_alpha("0.25"), 0.25);
  for (const char* text : {"nan", "NaN", "inf", "-inf", "-1", "-0.001", "1e9", "six", "", "6,5", "6 "}) {
    EXPECT_EQ(code_of([&] { parse_alpha(text); }), "arg.alpha") << text;
  }
}

TEST(ParseAlpha, R8_ADecimalCommaInTheLocaleChangesNothing) {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"}) {
    if (std::setlocale(LC_NUMERIC, name) != nullptr) break;
  }
  EXPECT_EQ(parse_alpha("1.5"), 1.5);
  EXPECT_EQ(code_of([] { parse_alpha("1,5"); }), "arg.alpha");
  std::setlocale(LC_NUMERIC, before.c_str());
}

}  // namespace
}  // namespace safetylock::cli
