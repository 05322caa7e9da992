// A user who types control tokens: what generate, evaluate and extract feed to the model, token by token.
#include "support/typed_tokens.h"

#include "pipeline/reply_sequences.h"
#include "safetylock/evaluate.h"
#include "safetylock/generate.h"
#include "support/tiny_model.h"
#include "text/chat_sequence.h"

namespace safetylock {
namespace {

class TypedTokens : public ::testing::Test {
 protected:
  /// Rows that the first pass of `work` computes: the tokens of its only prompt.
  std::int64_t rows_of(const std::function<void()>& work) const {
    std::int64_t rows = 0;
    const HookHandle hook =
        model.add_hook(HookPoint::head_output, {0}, [&](const HookContext&, at::Tensor& value) {
          if (rows == 0) rows = value.size(0);
        });
    work();
    return rows;
  }
  static std::int64_t size(const std::vector<TokenId>& ids) { return static_cast<std::int64_t>(ids.size()); }

  const CausalLM model =
      CausalLM::from_pretrained(test::tiny_model_path("llama_gqa"), {.device = "cpu", .dtype = "float32"});
  const test::TypedTokensGolden golden = test::typed_tokens_golden("llama_gqa");
  // As many characters in the place of each typed token, and no control token among them: what text costs.
  const std::vector<TokenId> as_text =
      encode_chat(model.tokenizer(), model.chat_template(), {{"user", golden.typed}},
                  {.add_generation_prompt = true}, false)
          .tokens.ids;
};

TEST_F(TypedTokens, Generate) {
  const auto prompt = [&](bool trust) {
    return generate(model, golden.typed, {.max_new_tokens = 1, .trust_special_tokens = trust}).prompt_ids;
  };
  EXPECT_EQ(prompt(true), golden.typed_ids);
  EXPECT_EQ(prompt(false), as_text);
}

TEST_F(TypedTokens, Evaluate) {
  const auto rows = [&](bool trust) {
    return rows_of(
        [&] { evaluate(model, {golden.typed}, {.max_new_tokens = 1, .trust_special_tokens = trust}); });
  };
  EXPECT_EQ(rows(true), size(golden.typed_ids));
  EXPECT_EQ(rows(false), size(as_text));
  ASSERT_GT(as_text.size(), golden.typed_ids.size());
}

TEST_F(TypedTokens, D11_Extract) {
  const PromptPair pair = {golden.typed, golden.reply, "Yes."};
  EXPECT_EQ(encode_reply(model, pair, true, 0, {.trust_special_tokens = true}).ids, golden.pair_ids);
  EXPECT_GT(encode_reply(model, pair, true, 0, {}).ids.size(), golden.pair_ids.size());
  const auto tokens = [&](bool trust) {
    return collect_head_activations(model, {pair}, {.trust_special_tokens = trust}).tokens;
  };
  EXPECT_EQ(tokens(false) - tokens(true),
            size(encode_reply(model, pair, true, 0, {}).ids) - size(golden.pair_ids));
}

}  // namespace
}  // namespace safetylock
