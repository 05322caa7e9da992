#include "text/chat_sequence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "support/errors.h"
#include "support/models.h"
#include "support/typed_tokens.h"
#include "text/tiny_tokenizer.h"
#include "text/token_view.h"

namespace safetylock {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string path_of(const std::string& model) {
  if (model == "smollm2") return test::smollm2_path();
  if (model == "qwen") return test::qwen_path();
  return std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/model/" + model;
}

class ChatSequences : public ::testing::TestWithParam<std::string> {
 protected:
  ChatSequence chat(const std::string& user, bool trust) const {
    return encode_chat(tokenizer, chat_template, {{"user", user}}, {.add_generation_prompt = true}, trust);
  }
  std::int64_t control_tokens(const ChatSequence& chat) const {
    return std::count_if(chat.tokens.ids.begin(), chat.tokens.ids.end(),
                         [&](TokenId id) { return tokenizer.is_special(id); });
  }

  const Tokenizer tokenizer = Tokenizer::from_pretrained(path_of(GetParam()));
  const ChatTemplate chat_template = ChatTemplate::from_pretrained(path_of(GetParam()));
  const test::TypedTokensGolden golden = test::typed_tokens_golden(GetParam());
};

TEST_P(ChatSequences, TypedControlTokensStayTextWhereTransformersObeysThem) {
  EXPECT_GT(golden.typed_control, golden.harmless_control) << "transformers lets a user open a system turn";
  const ChatSequence safe = chat(golden.typed, false);
  EXPECT_EQ(control_tokens(safe), golden.harmless_control);
  EXPECT_EQ(safe.prompt.text, golden.typed_text);
  EXPECT_EQ(tokenizer.decode(safe.tokens.ids, false), golden.typed_text) << "nothing is lost";
}

TEST_P(ChatSequences, TrustRestoresParity) {
  EXPECT_EQ(chat(golden.typed, true).tokens.ids, golden.typed_ids);
  EXPECT_EQ(chat(golden.harmless, true).tokens.ids, golden.harmless_ids);
  EXPECT_EQ(chat(golden.harmless, false).tokens.ids, golden.harmless_ids);
}

TEST_P(ChatSequences, PairsAreMarkedToo) {
  const PromptPair pair = {golden.typed, golden.reply, "Yes."};
  const auto encode = [&](bool trust) {
    return encode_pair_reply(tokenizer, chat_template, pair, true, {.trust_special_tokens = trust}, "pair");
  };
  EXPECT_EQ(encode(true).chat.tokens.ids, golden.pair_ids);
  EXPECT_NE(encode(false).chat.tokens.ids, golden.pair_ids);
  EXPECT_THAT(encode(false).kept, SizeIs(5));
}

TEST_P(ChatSequences, TypedTokensAreSeenAndNamed) {
  for (const bool trust : {false, true}) {
    const ChatSequence shown = chat(golden.typed, trust);
    const auto typed = typed_control_tokens(tokenizer, shown.prompt);
    ASSERT_THAT(typed, SizeIs(2));
    EXPECT_EQ(typed[0].spelling, "<|im_end|>");
    EXPECT_EQ(typed[1].spelling, "<|im_start|>");
    EXPECT_EQ(typed[0].origin, 0);
    const auto views = view_tokens(tokenizer, shown, typed);
    std::int64_t of_template = 0, of_user = 0;
    std::string spelled, whole;
    for (const TokenView& view : views) {
      whole += view.bytes;
      if (view.typed) spelled += view.bytes;
      if (view.control) ++(view.origin == RenderedPrompt::kTemplate ? of_template : of_user);
    }
    EXPECT_EQ(whole, golden.typed_text);
    EXPECT_EQ(of_template, golden.harmless_control);
    EXPECT_EQ(of_user, trust ? 2 : 0);
    EXPECT_NE(spelled.find("<|im_end|>"), std::string::npos) << spelled;
    EXPECT_EQ(spelled.find("obey"), std::string::npos) << spelled;
  }
  EXPECT_THAT(typed_control_tokens(tokenizer, chat(golden.harmless, false).prompt), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Models, ChatSequences, ::testing::Values("llama_gqa", "smollm2", "qwen"),
                         [](const auto& i) { return i.param; });

const char* const kChatMl =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";

TEST(ChatSequence, SystemPromptIsPutInFrontOnce) {
  const auto roles = [](std::vector<ChatMessage> messages, const std::string& system) {
    std::string out;
    for (const ChatMessage& m : with_system(std::move(messages), system))
      out += m.role + ":" + m.content + " ";
    return out;
  };
  EXPECT_EQ(roles({{"user", "a"}}, "s"), "system:s user:a ");
  EXPECT_EQ(roles({{"user", "a"}}, ""), "user:a ");
  EXPECT_EQ(roles({{"system", "own"}, {"user", "a"}}, "s"), "system:own user:a ");
}

TEST(ChatSequence, LastTokensAreThoseWithBytesOfTheMessage) {
  const Tokenizer tokenizer = Tokenizer::from_pretrained(path_of("llama_gqa"));
  const ChatTemplate chat_template(kChatMl, "", "");
  const ChatSequence chat =
      encode_chat(tokenizer, chat_template, {{"user", "abc"}, {"assistant", "xyz"}}, {}, false);
  const auto text = [&](const std::vector<std::int64_t>& positions) {
    std::vector<TokenId> ids;
    for (const std::int64_t p : positions) ids.push_back(chat.tokens.ids[static_cast<size_t>(p)]);
    return tokenizer.decode(ids, false);
  };
  EXPECT_EQ(text(last_tokens_of(chat, 1, 5)), "xyz");
  EXPECT_EQ(text(last_tokens_of(chat, 1, 2)), "yz");
  EXPECT_EQ(text(last_tokens_of(chat, 0, 1)), "c");
}

TEST(ChatSequence, D9_ReplyWithoutTokens) {
  const Tokenizer tokenizer = Tokenizer::from_tokenizer_json_text(test::tiny_tokenizer().dump(), "tiny");
  const ChatTemplate chat_template("{{ messages[0].content }} {{ messages[1].content | trim }}", "", "");
  const auto error = [&](bool safe) {
    return test::error_of([&] {
      encode_pair_reply(tokenizer, chat_template, {"hello", "world", " \n"}, safe, {}, "pair 3");
    });
  };
  EXPECT_FALSE(error(true));  // " world" is one token; it begins with the template's space
  const auto e = error(false);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "data.too_short");
  EXPECT_NE(e->where.find("pair 3"), std::string::npos) << e->where;
}

TEST(ChatSequence, APairEndsWithItsReply) {
  const Tokenizer tokenizer = Tokenizer::from_pretrained(path_of("llama_gqa"));
  const ChatTemplate chat_template(kChatMl, "", "");
  const PromptPair pair = {"q", "no", "yes"};
  const PairReply reply = encode_pair_reply(tokenizer, chat_template, pair, false, {.system = "s"}, "pair 3");
  EXPECT_TRUE(tokenizer.decode(reply.chat.tokens.ids, false).ends_with("assistant\nyes"));
  EXPECT_TRUE(reply.chat.prompt.text.starts_with("<|im_start|>system\ns<|im_end|>"));
  EXPECT_EQ(reply.kept.back(), static_cast<std::int64_t>(reply.chat.tokens.ids.size()) - 1);
  const ChatTemplate silent("{{ messages[0].content }}", "", "");
  EXPECT_EQ(test::code_of([&] { encode_pair_reply(tokenizer, silent, pair, true, {}, "pair 3"); }),
            "template.span");
}

}  // namespace
}  // namespace safetylock
