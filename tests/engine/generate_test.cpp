#include "safetylock/generate.h"

#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;
using test::Golden;

const std::vector<ChatMessage> kChat = {{"system", "Be brief."}, {"user", "Who are you?"}};

class GenerateTiny : public testing::TestWithParam<std::string> {};

TEST_P(GenerateTiny, ChatEqualsTransformers) {
  const Golden golden(GetParam());
  const CausalLM model =
      CausalLM::from_pretrained(test::tiny_model_path(GetParam()), {.device = "cpu", .dtype = "float32"});
  const Generation reply = generate_batch(model, {{.messages = kChat}}, {.max_new_tokens = 64}).front();
  EXPECT_EQ(reply.prompt_ids, golden.integers("chat.prompt_ids"));
  EXPECT_EQ(reply.token_ids, golden.integers("chat.token_ids"));
  EXPECT_EQ(reply.finish_reason, "length");
  EXPECT_EQ(reply.text, model.tokenizer().decode(reply.token_ids));
}

INSTANTIATE_TEST_SUITE_P(Tiny, GenerateTiny, testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& param) { return param.param; });

class Generate : public testing::Test {
 protected:
  CausalLM model =
      CausalLM::from_pretrained(test::tiny_model_path("qwen2"), {.device = "cpu", .dtype = "float32"});
  Golden golden{"qwen2"};
};

TEST_F(Generate, SystemPromptOfTheOptionsGoesBeforeThePrompt) {
  const Generation reply = generate(model, "Who are you?", {.max_new_tokens = 4, .system = "Be brief."});
  EXPECT_EQ(reply.prompt_ids, golden.integers("chat.prompt_ids"));
  EXPECT_NE(generate(model, "Who are you?", {.max_new_tokens = 4}).prompt_ids, reply.prompt_ids);
}

TEST_F(Generate, StopTokenEndsTheReplyAndIsLeftOut) {
  const std::vector<TokenId> greedy = golden.integers("chat.token_ids");
  size_t at = 5;
  while (std::find(greedy.begin(), greedy.begin() + static_cast<std::ptrdiff_t>(at), greedy[at]) !=
         greedy.begin() + static_cast<std::ptrdiff_t>(at)) {
    ++at;  // the first token not seen before
  }
  const Generation reply =
      generate_batch(model, {{.messages = kChat}},
                     {.max_new_tokens = 64, .logprobs = 1, .stop_token_ids = {greedy[at]}})
          .front();
  EXPECT_EQ(reply.finish_reason, "stop");
  EXPECT_EQ(reply.token_ids, test::slice(greedy, 0, at));
  ASSERT_EQ(reply.logprobs.size(), at + 1) << "steps include the stop token's";
  EXPECT_EQ(reply.logprobs.back().front().id, greedy[at]);
}

TEST_F(Generate, ControlTokensInAPromptAreTextUnlessTrusted) {
  const TokenId im_start = model.tokenizer().token_to_id("<|im_start|>").value();
  const auto count = [&](const std::vector<TokenId>& ids) {
    return std::count(ids.begin(), ids.end(), im_start);
  };
  const std::string prompt = "a<|im_start|>system";
  EXPECT_EQ(count(generate(model, prompt, {.max_new_tokens = 1}).prompt_ids), 2);
  EXPECT_EQ(count(generate(model, prompt, {.max_new_tokens = 1, .trust_special_tokens = true}).prompt_ids),
            3);
}

TEST_F(Generate, RequestsStrengthOverridesTheAppliedOne) {
  const auto lock =
      std::make_shared<Interventions>(test::random_interventions(model.config(), {0, 1}, {Strength(8)}));
  const GenerateOptions options{.max_new_tokens = 32};
  const auto unlocked = generate_batch(model, {{.messages = kChat}}, options).front().token_ids;
  const HookHandle handle = model.set_default_interventions(lock);
  const std::vector<Generation> replies = generate_batch(model,
                                                         {{.messages = kChat},
                                                          {.messages = kChat, .strength = Strength()},
                                                          {.messages = kChat, .strength = Strength(8)}},
                                                         options);
  EXPECT_NE(replies[0].token_ids, unlocked);
  EXPECT_EQ(replies[1].token_ids, unlocked);
  EXPECT_EQ(replies[2].token_ids, replies[0].token_ids);
}

TEST_F(Generate, StrengthBeyondTheLocksLimitIsRefused) {
  const auto lock =
      std::make_shared<Interventions>(test::random_interventions(model.config(), {0}, {Strength(8)}));
  lock->alpha_max = 10;
  const HookHandle handle = model.set_default_interventions(lock);
  const auto code = [&](double alpha) {
    return code_of([&] {
      generate_batch(model, {{.messages = kChat, .strength = Strength(alpha)}}, {.max_new_tokens = 1});
    });
  };
  EXPECT_EQ(code(10.5), "arg.alpha");
  EXPECT_EQ(code(10), "no error");
}

TEST_F(Generate, StrengthWithoutALockIsRefused) {
  EXPECT_EQ(code_of([&] { generate_batch(model, {{.messages = kChat, .strength = Strength(6)}}); }),
            "lock.state");
  EXPECT_EQ(code_of([&] {
              generate_batch(model, {{.messages = kChat, .strength = Strength()}}, {.max_new_tokens = 1});
            }),
            "no error");
}

TEST_F(Generate, R2_RefusesBadPromptsBeforeComputing) {
  int passes = 0;
  const HookHandle handle =
      model.add_hook(HookPoint::block_output, {0}, [&](const HookContext&, at::Tensor&) { ++passes; });
  EXPECT_EQ(code_of([&] { generate(model, ""); }), "arg.prompt");
  EXPECT_EQ(code_of([&] { generate_batch(model, {{.messages = {}}}); }), "arg.prompt");
  const auto invalid = test::error_of([&] { generate(model, "ab\xFF"); });
  ASSERT_TRUE(invalid);
  EXPECT_EQ(invalid->code, "arg.prompt");
  EXPECT_NE(invalid->where.find("byte 2"), std::string::npos) << invalid->where;
  const auto too_long =
      test::error_of([&] { generate(model, std::string(500, 'x'), {.max_new_tokens = 8}); });
  ASSERT_TRUE(too_long);
  EXPECT_EQ(too_long->code, "arg.prompt");
  EXPECT_NE(too_long->found.find("tokens"), std::string::npos);
  EXPECT_EQ(code_of([&] { generate(model, "Hi", {.max_new_tokens = 250}); }), "arg.prompt");
  EXPECT_EQ(passes, 0);
}

TEST_F(Generate, RefusesOptionsOutOfRange) {
  const auto code = [&](const GenerateOptions& options) {
    return code_of([&] { generate(model, "Hi", options); });
  };
  EXPECT_EQ(code({.max_new_tokens = 0}), "arg.range");
  EXPECT_EQ(code({.max_new_tokens = -5}), "arg.range");
  EXPECT_EQ(code({.max_new_tokens = std::int64_t{1} << 62}), "arg.range");
  EXPECT_EQ(code({.batch_size = 0}), "arg.range");
  EXPECT_EQ(code({.logprobs = 21}), "arg.range");
  EXPECT_EQ(code({.logprobs = -1}), "arg.range");
  EXPECT_EQ(code({.stop_token_ids = {1 << 20}}), "arg.range");
}

TEST_F(Generate, NoRequestsGiveNoReplies) {
  EXPECT_TRUE(generate_batch(model, {}).empty());
}

}  // namespace
}  // namespace safetylock
