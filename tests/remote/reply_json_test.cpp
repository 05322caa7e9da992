// The forms in which servers answer, taken from the documentation and sources of the OpenAI API, vLLM and
// llama.cpp.
#include "remote/reply_json.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::error_of;

RemoteReply chat(const std::string& json) {
  return parse_chat_reply(json, "http://a/v1");
}
RemoteReply completion(const std::string& json) {
  return parse_completion_reply(json, "http://a/v1");
}

TEST(ChatReply, TextCountsAndLogprobs) {
  const RemoteReply reply = chat(R"({"id": "x", "object": "chat.completion", "choices": [{"index": 0,
    "message": {"role": "assistant", "content": "I'm sorry"}, "finish_reason": "length", "logprobs": {"content": [
      {"token": "I", "logprob": -0.25, "bytes": [73], "top_logprobs": [
        {"token": "Sure", "logprob": -2.5, "bytes": null}, {"token": "I", "logprob": -0.25, "bytes": [73]}]},
      {"token": "'m", "logprob": 0, "top_logprobs": []}]}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}})");
  EXPECT_EQ(reply.text, "I'm sorry");
  EXPECT_EQ(reply.finish_reason, "length");
  EXPECT_EQ(reply.prompt_tokens, 12);
  EXPECT_EQ(reply.completion_tokens, 3);
  ASSERT_EQ(reply.steps.size(), 2U);
  EXPECT_EQ(reply.steps[0].chosen.text, "I");
  EXPECT_EQ(reply.steps[0].chosen.logprob, -0.25);
  ASSERT_EQ(reply.steps[0].top.size(), 2U);
  EXPECT_EQ(reply.steps[0].top[0].text, "I") << "likeliest first";
  EXPECT_EQ(reply.steps[0].top[1].text, "Sure");
  EXPECT_FALSE(reply.steps[0].top[1].id);
}

TEST(ChatReply, WithoutLogprobsUsageAndContent) {
  for (const std::string logprobs : {"", R"(, "logprobs": null)", R"(, "logprobs": {"content": null})"}) {
    const RemoteReply reply = chat(R"({"choices": [{"message": {"content": null})" + logprobs + "}]}");
    EXPECT_EQ(reply.text, "");
    EXPECT_EQ(reply.finish_reason, "");
    EXPECT_FALSE(reply.completion_tokens);
    EXPECT_TRUE(reply.steps.empty());
  }
}

TEST(CompletionReply, ListsAsOfOld) {
  const RemoteReply reply = completion(R"({"choices": [{"text": "Sure", "finish_reason": "stop", "logprobs": {
    "tokens": ["token_id:39814"], "token_logprobs": [-0.5], "text_offset": [0],
    "top_logprobs": [{"token_id:40": -1.5, "token_id:39814": -0.5}]},
    "prompt_logprobs": [null, {"9707": {"logprob": -7.5, "rank": 20, "decoded_token": "Hello"},
                               "40": {"logprob": -0.75, "rank": 1, "decoded_token": "I"}}]}]})");
  EXPECT_EQ(reply.text, "Sure");
  ASSERT_EQ(reply.steps.size(), 1U);
  EXPECT_EQ(reply.steps[0].chosen.id, 39814);
  ASSERT_EQ(reply.steps[0].top.size(), 2U);
  EXPECT_EQ(reply.steps[0].top[0].id, 39814);
  EXPECT_EQ(reply.steps[0].top[1].id, 40);
  EXPECT_EQ(reply.steps[0].top[1].logprob, -1.5);
  ASSERT_EQ(reply.prompt_steps.size(), 2U);
  EXPECT_FALSE(reply.prompt_steps[0]);
  EXPECT_EQ(reply.prompt_steps[1]->chosen.id, 9707) << "the prompt's own token comes first";
  EXPECT_EQ(reply.prompt_steps[1]->chosen.logprob, -7.5);
  EXPECT_EQ(reply.prompt_steps[1]->top[0].id, 40);
  EXPECT_EQ(reply.prompt_steps[1]->top[0].text, "I");
}

TEST(CompletionReply, ContentOfLlamaCpp) {
  const RemoteReply reply =
      completion(R"({"choices": [{"text": " a", "finish_reason": "length", "logprobs": {"content":
    [{"id": 264, "token": " a", "bytes": [32, 97], "logprob": -1.25,
      "top_logprobs": [{"id": 264, "token": " a", "logprob": -1.25}]}]}}]})");
  ASSERT_EQ(reply.steps.size(), 1U);
  EXPECT_EQ(reply.steps[0].chosen.id, 264);
  EXPECT_EQ(reply.steps[0].chosen.text, " a");
  EXPECT_EQ(reply.steps[0].top[0].id, 264);
}

TEST(Reply, NamesWhatIsWrong) {
  const auto where = [](const std::string& json) {
    const auto e = error_of([&] { chat(json); });
    return e ? e->code + " " + e->where : "no error";
  };
  EXPECT_EQ(where("{}"), "remote.reply /choices");
  EXPECT_EQ(where(R"({"choices": []})"), "remote.reply /choices");
  EXPECT_EQ(where(R"({"choices": [null]})"), "remote.reply /choices/0/message/content");
  EXPECT_EQ(where(R"({"choices": [{"message": "x"}]})"), "remote.reply /choices/0/message/content");
  EXPECT_EQ(where(R"({"choices": [{"message": {"content": ["x"]}}]})"),
            "remote.reply /choices/0/message/content");
  const auto logprobs = [&](const std::string& step) {
    return where(R"({"choices": [{"message": {"content": ""}, "logprobs": {"content": [)" + step + "]}}]}");
  };
  EXPECT_EQ(logprobs("7"), "remote.reply /choices/0/logprobs/content/0");
  EXPECT_EQ(logprobs(R"({"token": "I", "logprob": "-1"})"),
            "remote.reply /choices/0/logprobs/content/0/logprob");
  EXPECT_EQ(logprobs(R"({"token": "I", "logprob": 0.5})"),
            "remote.reply /choices/0/logprobs/content/0/logprob");
  EXPECT_EQ(logprobs(R"({"token": "I", "logprob": -1, "top_logprobs": [1]})"),
            "remote.reply /choices/0/logprobs/content/0/top_logprobs/0");
  EXPECT_EQ(where("{"), "json.syntax line 1, column 2");
  EXPECT_EQ(code_of([] { completion(R"({"choices": [{}]})"); }), "remote.reply");
  EXPECT_EQ(
      code_of([] {
        completion(R"({"choices": [{"text": "", "logprobs": {"tokens": ["a"], "token_logprobs": []}}]})");
      }),
      "remote.reply");
  EXPECT_EQ(code_of([] {
              completion(R"({"choices": [{"text": "", "prompt_logprobs": [{"x": {"logprob": -1}}]}]})");
            }),
            "remote.reply");
  EXPECT_EQ(code_of([] { completion(R"({"choices": [{"text": "", "prompt_logprobs": [{}]}]})"); }),
            "remote.reply");
}

TEST(ModelList, NamesOfTheModels) {
  EXPECT_EQ(parse_model_list(R"({"object": "list", "data": [{"id": "a"}, {"id": "b/c"}]})", ""),
            (std::vector<std::string>{"a", "b/c"}));
  EXPECT_EQ(code_of([] { parse_model_list(R"({"data": [{"name": "a"}]})", ""); }), "remote.reply");
  EXPECT_EQ(code_of([] { parse_model_list(R"({"models": []})", ""); }), "remote.reply");
}

TEST(ErrorWords, OfTheFormsInUse) {
  EXPECT_EQ(error_words(R"({"error": {"message": "no such model", "type": "x"}})"), "\"no such model\"");
  EXPECT_EQ(error_words(R"({"error": "busy"})"), "\"busy\"");
  EXPECT_EQ(error_words(R"({"object": "error", "message": "too long"})"), "\"too long\"");
  EXPECT_EQ(error_words(R"({"detail": "Not Found"})"), "\"Not Found\"");
  EXPECT_EQ(error_words("gate\x1B[2Jway"), "\"gate\\x1B[2Jway\"");
  EXPECT_EQ(error_words(std::string(500, 'a')).size(), 205U);
  EXPECT_EQ(error_words(""), "nothing");
}

}  // namespace
}  // namespace safetylock
