#include "engine/token_generator.h"

#include <cmath>
#include <limits>

#include "engine/golden_requests.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::Golden;
using test::load_bare;

TokenGeneratorOptions options_for(std::int64_t tokens, std::int64_t batch) {
  return {.max_new_tokens = tokens, .batch_size = batch, .logprobs = 0, .stop_ids = {}, .on_progress = {}};
}

std::vector<std::vector<TokenId>> tokens_of(const std::vector<TokenResult>& results) {
  std::vector<std::vector<TokenId>> tokens;
  for (const TokenResult& result : results) tokens.push_back(result.token_ids);
  return tokens;
}

std::vector<TokenResult> run(const CausalLM& model, const std::vector<TokenRequest>& requests,
                             const TokenGeneratorOptions& options,
                             std::map<std::int64_t, at::Tensor> biases = {}) {
  return TokenGenerator(model.impl(), std::move(biases), requests, options).run();
}

class GoldenGeneration : public testing::TestWithParam<std::string> {};

// 64 greedy tokens of unequal prompts, one at a time, all at once, and with fewer places than requests, so
// that later ones join while earlier ones are decoded.
TEST_P(GoldenGeneration, GreedyTokensEqualTransformersInAnyBatch) {
  const CausalLM model = load_bare(GetParam());
  const auto [requests, expected] = test::golden_requests(GetParam());
  ASSERT_EQ(expected[0].size(), 64U);
  for (const std::int64_t batch : {1, 2, 5, 16}) {
    EXPECT_EQ(tokens_of(run(model, requests, options_for(64, batch))), expected) << "batch " << batch;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, GoldenGeneration, testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& param) { return param.param; });

// Requests end at different steps: places are freed, refilled and moved while others go on.
TEST(TokenGenerator, RequestsThatStopLeaveTheOthersAsTheyWere) {
  const Golden golden("llama_gqa");
  const CausalLM model = load_bare("llama_gqa");
  const std::vector<TokenId> greedy = golden.integers("greedy.1");
  TokenGeneratorOptions options = options_for(64, 3);
  options.stop_ids = {greedy[9]};
  std::vector<TokenRequest> requests;
  for (const char* i : {"1", "0", "2", "1", "2", "0"}) {
    requests.push_back({.prompt_ids = golden.integers(std::string("ids.") + i), .strength = {}});
  }
  const std::vector<TokenResult> results = run(model, requests, options);
  for (size_t r = 0; r < results.size(); ++r) {
    const char* i = std::array{"1", "0", "2", "1", "2", "0"}[r];
    std::vector<TokenId> expected = golden.integers(std::string("greedy.") + i);
    const auto stop = std::find(expected.begin(), expected.end(), greedy[9]);
    EXPECT_EQ(results[r].finish_reason, stop == expected.end() ? "length" : "stop");
    expected.erase(stop, expected.end());
    EXPECT_EQ(results[r].token_ids, expected) << "request " << r;
  }
  EXPECT_LE(results[0].token_ids.size(), 9U);
}

// Reference: the same tokens without a cache, through CausalLM::logits.
TEST(TokenGenerator, LogprobsAreThoseOfTheWholeSequence) {
  const Golden golden("qwen2");
  const CausalLM model = load_bare("qwen2");
  TokenGeneratorOptions options = options_for(8, 2);
  options.logprobs = 3;
  const std::vector<TokenId> prompt = golden.integers("ids.1");
  const TokenResult result = run(model, {{.prompt_ids = prompt, .strength = {}}}, options).front();
  ASSERT_EQ(result.logprobs.size(), 8U);
  std::vector<TokenId> sequence = prompt;
  for (size_t step = 0; step < 8; ++step) {
    const at::Tensor expected =
        at::log_softmax(model.logits({sequence}, LogitsOf::last_token)[0].to(at::kDouble), 0);
    const auto [values, ids] = at::topk(expected, 3);
    for (std::int64_t k = 0; k < 3; ++k) {
      const TokenLogprob& found = result.logprobs[step][static_cast<size_t>(k)];
      EXPECT_EQ(found.id, ids[k].item<std::int64_t>());
      EXPECT_NEAR(found.logprob, values[k].item<double>(), 1e-4);
    }
    EXPECT_EQ(result.logprobs[step][0].id, result.token_ids[step]);
    sequence.push_back(result.token_ids[step]);
  }
}

// Each request of a mixed batch gives what it gives alone with its own strength.
TEST(TokenGenerator, StrengthBelongsToTheRequest) {
  const Golden golden("llama_gqa");
  const CausalLM model = load_bare("llama_gqa");
  const auto biases = test::random_interventions(model.config(), {0, 1, 2}, {}).biases;
  std::vector<TokenRequest> requests;
  for (const double alpha : {0.0, 6.0, 0.0, 3.0, 6.0}) {
    requests.push_back({.prompt_ids = golden.integers("ids.1"), .strength = Strength(alpha)});
  }
  const auto together = tokens_of(run(model, requests, options_for(24, 3), biases));
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(together[i], tokens_of(run(model, {requests[i]}, options_for(24, 1), biases)).front()) << i;
  }
  EXPECT_EQ(together[0], test::slice(golden.integers("greedy.1"), 0, 24));
  EXPECT_NE(together[1], together[0]);
  EXPECT_NE(together[3], together[1]);
}

TEST(TokenGenerator, R4_NonFiniteLogitsNameThePromptAndEmitNothing) {
  auto checkpoint = test::MemoryCheckpoint::copy_of("llama_gqa");
  for (float& value : checkpoint->mutable_values("lm_head.weight")) value = std::numeric_limits<float>::max();
  const CausalLM model = load_bare(std::move(checkpoint));
  const auto error = test::error_of([&] {
    run(model, {{.prompt_ids = {1, 2}, .strength = {}}}, options_for(4, 1));
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "num.nonfinite");
  EXPECT_NE(error->where.find("prompt 0, token 0"), std::string::npos) << error->where;
}

TEST(TokenGenerator, StopsBetweenTokensWhenAsked) {
  const CausalLM model = load_bare("llama_gqa");
  TokenGeneratorOptions options = options_for(64, 2);
  int calls = 0;
  options.on_progress = [&](const Progress& progress) {
    EXPECT_EQ(progress.total, 2);
    return ++calls < 5;
  };
  const std::vector<TokenRequest> requests(2, {.prompt_ids = {1, 2, 3}, .strength = {}});
  EXPECT_EQ(test::code_of([&] { run(model, requests, options); }), "run.interrupted");
  EXPECT_EQ(calls, 5);
}

}  // namespace
}  // namespace safetylock
