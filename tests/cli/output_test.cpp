#include <gtest/gtest.h>

#include "cli/json_output.h"
#include "cli/output_file.h"
#include "cli/printable.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock::cli {
namespace {

TEST(Printable, ControlCharactersAndBidiMarksBecomeEscapes) {
  EXPECT_EQ(printable("plain \"text\" \\ ünï 🙂\n\tnext"), "plain \"text\" \\ ünï 🙂\n\tnext");
  EXPECT_EQ(printable("\x1b[2Jgone"), "\\x1B[2Jgone");
  EXPECT_EQ(printable("a\rb"), "a\\x0Db");
  EXPECT_EQ(printable("\xE2\x80\xAE"), "\\u{202E}");
  EXPECT_EQ(printable("\xFFz"), "\\xFFz");
  EXPECT_EQ(one_line("a\nb\tc\x07"), "a b c\\x07");
}

TEST(Table, AlignsColumnsWithoutTrailingSpace) {
  EXPECT_EQ(table({{"head", "score"}, {"1.12", "0.5"}, {"10.3"}}),
            "  head  score\n"
            "  1.12    0.5\n"
            "  10.3\n");
}

TEST(Table, Numbers) {
  EXPECT_EQ(fixed(0.12345, 3), "0.123");
  EXPECT_EQ(with_sign(1.5), "+1.50");
  EXPECT_EQ(with_sign(-0.25), "-0.25");
  EXPECT_EQ(rate_row("refused", {.count = 3, .n = 24, .value = 0.125, .low = 0.043, .high = 0.31}),
            (TableRow{"refused", "3/24", "12 %", "[4 %, 31 %]"}));
}

TEST(JsonText, InvalidUtf8IsReplacedAndKeysKeepTheirOrder) {
  const Json json = {{"b", "\xFF"}, {"a", 1}};
  EXPECT_EQ(json_text(json), "{\n  \"b\": \"\xEF\xBF\xBD\",\n  \"a\": 1\n}\n");
}

TEST(CheckCanWrite, R6_RefusesFoldersAndMissingPlaces) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(test::code_of([&] { check_can_write(folder.path()); }), "io.write");
  EXPECT_EQ(test::code_of([&] { check_can_write(folder.path("none/x.lock")); }), "io.write");
  EXPECT_EQ(test::code_of([&] { check_can_write(folder.path("x.lock")); }), "no error");
  EXPECT_FALSE(std::filesystem::exists(folder.path("x.lock")));
}

class Colours : public ::testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("NO_COLOR");
    ::unsetenv("FORCE_COLOR");
  }
  void TearDown() override { SetUp(); }
  static bool coloured(ColourMode mode) {
    return Terminal(mode).styled(Stream::out, Style::bold, "x") != "x";
  }
};

TEST_F(Colours, OptionWinsOverEnvironment) {
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_TRUE(coloured(ColourMode::on));
  EXPECT_FALSE(coloured(ColourMode::automatic));
  ::unsetenv("NO_COLOR");
  ::setenv("FORCE_COLOR", "1", 1);
  EXPECT_FALSE(coloured(ColourMode::off));
  EXPECT_TRUE(coloured(ColourMode::automatic));
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(coloured(ColourMode::automatic));
}

}  // namespace
}  // namespace safetylock::cli
