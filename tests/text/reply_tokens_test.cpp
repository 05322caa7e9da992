// Whole chats as tokens and the last tokens of their replies, a template a family, against transformers
// (scripts/make_golden_replies.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <set>

#include "safetylock/log.h"
#include "support/temporary.h"
#include "text/chat_messages.h"
#include "text/chat_sequence.h"

namespace safetylock {
namespace {

using test::OrderedJson;
using testing::SizeIs;

constexpr std::int64_t kTokensPerReply = 5;
constexpr const char* kPrompt = "Hi, what is the word?";

const OrderedJson& families() {
  static const OrderedJson json = OrderedJson::parse(test::golden("templates/replies.json"));
  return json;
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const auto& family : families()) names.push_back(family.at("name"));
  return names;
}

class Replies : public testing::TestWithParam<std::string> {
 protected:
  static const OrderedJson& golden() {
    const auto named = [](const OrderedJson& family) { return family.at("name") == GetParam(); };
    return *std::find_if(families().begin(), families().end(), named);
  }
  static std::string written(const test::TemporaryFolder& folder) {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    const OrderedJson& family = golden();
    if (family.contains("model")) {
      folder.write("tokenizer.model", test::golden("text/" + std::string(family.at("model"))));
    } else {
      folder.write("tokenizer.json", family.at("tokenizer").dump());
    }
    folder.write("tokenizer_config.json", family.at("config").dump());
    folder.write("chat_template.jinja", std::string(family.at("template")));
    return folder.path();
  }

  ChatSequence chat(const std::string& reply, bool trust) const {
    return encode_chat(tokenizer, chat_template, {{"user", kPrompt}, {"assistant", reply}},
                       {.clock = test::golden_now}, trust);
  }

  const test::TemporaryFolder folder;
  const std::string path = written(folder);
  const Tokenizer tokenizer = Tokenizer::from_pretrained(path);
  const ChatTemplate chat_template = ChatTemplate::from_pretrained(path);
};

TEST_P(Replies, AreThoseOfTransformers) {
  for (const auto& c : golden().at("cases")) {
    SCOPED_TRACE(c.at("name"));
    const ChatSequence read = chat(c.at("reply"), true);
    EXPECT_EQ(read.prompt.text, std::string(c.at("text")));
    EXPECT_EQ(read.tokens.ids, c.at("ids").get<std::vector<TokenId>>());
    EXPECT_EQ(last_tokens_of(read, 1, kTokensPerReply), c.at("kept").get<std::vector<std::int64_t>>());
  }
}

TEST_P(Replies, OfAPairEndWithTheirLastToken) {
  for (const auto& c : golden().at("cases")) {
    SCOPED_TRACE(c.at("name"));
    const PairReply read =
        encode_pair_reply(tokenizer, chat_template, {kPrompt, c.at("reply"), "-"}, true,
                          {.trust_special_tokens = true, .clock = test::golden_now}, "pair");
    EXPECT_EQ(read.kept, c.at("kept").get<std::vector<std::int64_t>>());
    auto ids = c.at("ids").get<std::vector<TokenId>>();
    ids.resize(static_cast<size_t>(c.at("kept").back()) + 1);
    EXPECT_EQ(read.chat.tokens.ids, ids);
  }
}

// Without trust a reply may have other tokens, but they are its last ones all the same.
TEST_P(Replies, StayTextWithoutTrust) {
  for (const auto& c : golden().at("cases")) {
    SCOPED_TRACE(c.at("name"));
    const ChatSequence read = chat(c.at("reply"), false);
    EXPECT_EQ(read.prompt.text, std::string(c.at("text")));
    const auto kept = last_tokens_of(read, 1, kTokensPerReply);
    ASSERT_FALSE(kept.empty());
    const RenderedPrompt::Span reply = read.prompt.span_of(1);
    const auto& offsets = read.tokens.offsets;
    EXPECT_GE(offsets[static_cast<size_t>(kept.back())].end, reply.end);
    EXPECT_LT(offsets[static_cast<size_t>(kept.back())].begin, reply.end);
    EXPECT_GT(offsets[static_cast<size_t>(kept.front())].end, reply.begin);
    EXPECT_EQ(kept.back() - kept.front() + 1, static_cast<std::int64_t>(kept.size()))
        << "one after the other";
    for (const std::int64_t t : kept) {
      EXPECT_FALSE(tokenizer.is_special(read.tokens.ids[static_cast<size_t>(t)]))
          << "a reply's marker is text";
    }
  }
}

TEST_P(Replies, BeginWithOneBosOrNone) {
  const TokenId bos = golden().at("bos_id");
  const bool written = std::string(golden().at("template")).find("bos_token") != std::string::npos;
  const ChatSequence read = chat("Yes.", false);
  const auto& ids = read.tokens.ids;
  EXPECT_EQ(ids.at(0) == bos, written);
  EXPECT_NE(ids.at(1), bos);
  // The trap: tokenizers that add theirs to every text.
  const auto doubled = tokenizer.encode(read.prompt.text, {.add_special_tokens = true}).ids;
  const bool adds = written && doubled.size() != ids.size();
  EXPECT_TRUE(!adds || doubled.at(0) == doubled.at(1));
}

// "Drop the last five ids, then take five": what the method's authors did.
TEST_P(Replies, AreNotFoundByAFixedCut) {
  for (const auto& c : golden().at("cases")) {
    const auto size = static_cast<std::int64_t>(c.at("ids").size());
    std::vector<std::int64_t> fixed;
    for (std::int64_t t = size - 2 * kTokensPerReply; t < size - kTokensPerReply; ++t) fixed.push_back(t);
    EXPECT_NE(last_tokens_of(chat(c.at("reply"), true), 1, kTokensPerReply), fixed) << c.at("name");
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Replies, testing::ValuesIn(family_names()), [](const auto& i) {
  std::string name = i.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' ' || c == '.'; }, '_');
  return name;
});

TEST(ReplyGoldens, HaveTailsAndStartsOfEveryKind) {
  std::set<std::int64_t> tails;
  std::int64_t doubling = 0, short_replies = 0;
  for (const auto& family : families()) {
    doubling += family.contains("model") || !family.at("tokenizer").at("post_processor").is_null() ? 1 : 0;
    for (const auto& c : family.at("cases")) {
      tails.insert(static_cast<std::int64_t>(c.at("ids").size()) - 1 - std::int64_t{c.at("kept").back()});
      short_replies += c.at("kept").size() < kTokensPerReply ? 1 : 0;
    }
  }
  EXPECT_THAT(tails, testing::IsSupersetOf({0, 1, 2}));
  EXPECT_GT(*tails.rbegin(), 5);
  EXPECT_GT(doubling, 5);
  EXPECT_GT(short_replies, 5);
}

TEST(ChatStart, ThatIsDoubledIsSaidOnce) {
  std::vector<std::string> said;
  set_log_sink(LogLevel::warning, [&](LogLevel, std::string_view message) { said.emplace_back(message); });
  const Tokenizer tokenizer =
      Tokenizer::from_pretrained(std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/model/llama_gqa");
  const auto encode = [&](const char* source, const char* content, bool trust) {
    encode_chat(tokenizer, ChatTemplate(source, "<|endoftext|>", ""), {{"user", content}}, {}, trust);
  };
  encode("{{ bos_token }}{{ messages[0].content }}", "Hi", false);
  encode("{{ bos_token }}{{ messages[0].content }}", "<|endoftext|>Hi", false);
  encode("{{ bos_token }} {{ bos_token }}", "", false);
  encode("{{ messages[0].content }}", "aa", false);
  EXPECT_THAT(said, SizeIs(0));
  encode("{{ bos_token }}{{ messages[0].content }}", "<|endoftext|>Hi", true);
  EXPECT_THAT(said, testing::ElementsAre(testing::HasSubstr("<|endoftext|> twice")));
  encode("{{ bos_token }}<|endoftext|>Hi", "", false);
  EXPECT_THAT(said, SizeIs(1));
  set_log_sink(LogLevel::off, {});
}

}  // namespace
}  // namespace safetylock
