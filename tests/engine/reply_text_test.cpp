#include "engine/reply_text.h"

#include <gtest/gtest.h>

#include "support/errors.h"
#include "text/tiny_tokenizer.h"

namespace safetylock {
namespace {

using test::code_of;

class ReplyTextTest : public testing::Test {
 protected:
  std::vector<std::string> pieces(const std::vector<TokenId>& ids, std::vector<std::string> stop = {}) const {
    std::vector<std::string> out;
    ReplyText reply(tokenizer, std::move(stop), [&](std::string_view piece) { out.emplace_back(piece); });
    for (const TokenId id : ids) {
      if (!reply.push(id)) break;
    }
    reply.finish();
    std::string all;
    for (const std::string& piece : out) all += piece;
    EXPECT_EQ(reply.text(), all);
    return out;
  }

  // Ids below 256 are bytes, 256 to 266 longer pieces, 267 and 268 control tokens, 269 a plain added token.
  Tokenizer tokenizer = Tokenizer::from_tokenizer_json_text(test::tiny_tokenizer().dump(), "tiny");
};

TEST_F(ReplyTextTest, EmojiSplitOverFourTokens) {
  EXPECT_EQ(pieces({'h', 0xF0, 0x9F, 0x99, 0x82, '!'}), (std::vector<std::string>{"h", "🙂", "!"}));
  EXPECT_EQ(pieces({0xE4, 0xB8, 0xAD, 0xE6}), (std::vector<std::string>{"中", "\uFFFD"}));
}

TEST_F(ReplyTextTest, ControlTokensHaveNoTextAndAddedOnesTheirs) {
  EXPECT_EQ(pieces({267, 259, 268, 269, 264}), (std::vector<std::string>{"hello", "<tool>", " world"}));
}

TEST_F(ReplyTextTest, RowsThatPadTheVocabularyHaveNoText) {
  EXPECT_EQ(pieces({'a', 5000, 'b'}), (std::vector<std::string>{"a", "b"}));
}

TEST_F(ReplyTextTest, PiecesTogetherEqualDecodingAllTokens) {
  std::uint64_t state = 1;
  for (int round = 0; round < 500; ++round) {
    std::vector<TokenId> ids;
    for (int i = 0; i < 30; ++i) {
      state = state * 6364136223846793005 + 1442695040888963407;
      ids.push_back(static_cast<TokenId>((state >> 33) % 270));
    }
    std::string all;
    for (const std::string& piece : pieces(ids)) all += piece;
    ASSERT_EQ(all, tokenizer.decode(ids));
  }
}

TEST_F(ReplyTextTest, StopStringOverTokenBorders) {
  EXPECT_EQ(pieces({259, 'E', 'N', 'D', 264}, {"END"}), (std::vector<std::string>{"hello"}));
  EXPECT_EQ(pieces({259, 264}, {"o w"}), (std::vector<std::string>{"hell"}));
}

TEST(CheckStopStrings, RefusesWhatCannotStop) {
  EXPECT_EQ(code_of([] { check_stop_strings({"a", std::string(1024, 'x')}); }), "no error");
  EXPECT_EQ(code_of([] { check_stop_strings({"a", ""}); }), "arg.stop");
  EXPECT_EQ(code_of([] { check_stop_strings({std::string(1025, 'x')}); }), "arg.stop");
  EXPECT_EQ(code_of([] { check_stop_strings(std::vector<std::string>(65, "x")); }), "arg.stop");
  EXPECT_EQ(code_of([] { check_stop_strings(std::vector<std::string>(64, "x")); }), "no error");
  const auto error = test::error_of([] { check_stop_strings({"ab\xFF"}); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->where, "stop string 0, byte 2");
}

}  // namespace
}  // namespace safetylock
