// on_text and stop strings in generate_batch.
#include <stdexcept>

#include "base/utf8.h"
#include "safetylock/generate.h"
#include "support/chain_model.h"

namespace safetylock {
namespace {

using test::code_of;

std::vector<GenerateRequest> requests(size_t count) {
  std::vector<GenerateRequest> all;
  for (size_t i = 0; i < count; ++i)
    all.push_back({.messages = {{"user", "Tell me tale " + std::to_string(i)}}});
  return all;
}

// A random model at a high temperature writes mostly bytes that are no characters, and parts of some.
TEST(Streaming, PiecesTogetherAreTheTextAndTheDecodedTokens) {
  const CausalLM model =
      CausalLM::from_pretrained(test::tiny_model_path("llama_gqa"), {.device = "cpu", .dtype = "float32"});
  std::vector<std::string> streamed(9);
  size_t pieces = 0;
  const GenerateOptions options{.max_new_tokens = 60,
                                .batch_size = 4,
                                .sampling = {.temperature = 5, .seed = 1},
                                .on_text = [&](size_t request, std::string_view piece) {
                                  EXPECT_FALSE(piece.empty());
                                  EXPECT_FALSE(utf8::find_invalid(piece));
                                  streamed.at(request) += piece;
                                  ++pieces;
                                }};
  const std::vector<Generation> replies = generate_batch(model, requests(9), options);
  for (size_t i = 0; i < replies.size(); ++i) {
    EXPECT_EQ(streamed[i], replies[i].text);
    EXPECT_EQ(replies[i].text, model.tokenizer().decode(replies[i].token_ids));
  }
  EXPECT_GT(pieces, 100U) << "as it is generated, not at the end";
}

TEST(Streaming, ReplyIsCompleteBeforeLongerOnesGoOn) {
  const CausalLM model = test::chain_model("abcdef");
  std::vector<std::string> order;
  GenerateOptions options{.max_new_tokens = 3, .batch_size = 1};
  options.on_text = [&](size_t request, std::string_view piece) {
    order.push_back(std::to_string(request) + std::string(piece));
  };
  generate_batch(model, requests(2), options);
  EXPECT_EQ(order, (std::vector<std::string>{"0a", "0b", "0c", "1a", "1b", "1c"}));
}

class StopStrings : public testing::Test {
 protected:
  Generation reply(std::vector<std::string> stop, std::int64_t max_new_tokens = 20) {
    shown.clear();
    const GenerateOptions options{.max_new_tokens = max_new_tokens,
                                  .logprobs = 1,
                                  .stop = std::move(stop),
                                  .on_text = [&](size_t, std::string_view piece) { shown += piece; }};
    Generation generation = generate(model, "Hi", options);
    EXPECT_EQ(shown, generation.text);
    EXPECT_EQ(generation.logprobs.size(), generation.token_ids.size() + (ended_by_token ? 1 : 0));
    return generation;
  }

  CausalLM model = test::chain_model("abcdef");
  std::string shown;
  bool ended_by_token = false;
};

TEST_F(StopStrings, EndTheReplyBeforeThem) {
  const Generation stopped = reply({"cd"});
  EXPECT_EQ(stopped.text, "ab");
  EXPECT_EQ(stopped.finish_reason, "stop");
  EXPECT_EQ(model.tokenizer().decode(stopped.token_ids), "abcd") << "up to the token that completed it";
}

TEST_F(StopStrings, AtTheVeryEndAndAtTheLimit) {
  const Generation last = reply({"ef"}, 6);
  EXPECT_EQ(last.text, "abcd");
  EXPECT_EQ(last.finish_reason, "stop");
  const Generation cut = reply({"ef"}, 5);
  EXPECT_EQ(cut.text, "abcde") << "what only began like one is shown at the end";
  EXPECT_EQ(cut.finish_reason, "length");
}

TEST_F(StopStrings, ThatDoNotOccurChangeNothing) {
  ended_by_token = true;
  const Generation all = reply({"fe", "ac", "abcdefg"});
  EXPECT_EQ(all.text, "abcdef");
  EXPECT_EQ(all.finish_reason, "stop");
}

TEST_F(StopStrings, EndEachReplyOfABatchOnItsOwn) {
  const std::vector<Generation> replies =
      generate_batch(model, requests(5), {.max_new_tokens = 20, .batch_size = 2, .stop = {"d"}});
  for (const Generation& r : replies) EXPECT_EQ(r.text, "abc");
}

TEST_F(StopStrings, AreChecked) {
  EXPECT_EQ(code_of([&] { reply({""}); }), "arg.stop");
}

// What was streamed before an interruption is a beginning of the whole reply.
TEST(Streaming, R7_InterruptionAndExceptionsComeThroughBetweenTokens) {
  const CausalLM model = test::chain_model("abcdef", "abcdef");
  std::string shown;
  int steps = 0;
  GenerateOptions options{.max_new_tokens = 100};
  options.on_text = [&](size_t, std::string_view piece) { shown += piece; };
  options.on_progress = [&](const Progress&) { return ++steps < 5; };
  EXPECT_EQ(code_of([&] { generate(model, "Hi", options); }), "run.interrupted");
  EXPECT_EQ(shown, "abcd");
  options.on_progress = {};
  options.on_text = [](size_t, std::string_view) { throw std::logic_error("mine"); };
  EXPECT_THROW(generate(model, "Hi", options), std::logic_error);
  EXPECT_EQ(generate(model, "Hi", {.max_new_tokens = 3}).text, "abc") << "the model is as it was";
}

}  // namespace
}  // namespace safetylock
