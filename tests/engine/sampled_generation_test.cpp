// Sampling in generate_batch: reproducible whatever else is decoded, and faithful to the model's
// distribution.
#include <cmath>

#include "base/json.h"
#include "safetylock/generate.h"
#include "support/temporary.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;

const std::vector<ChatMessage> kChat = {{"system", "Be brief."}, {"user", "Who are you?"}};

CausalLM load(const std::string& name) {
  return CausalLM::from_pretrained(test::tiny_model_path(name), {.device = "cpu", .dtype = "float32"});
}

std::vector<std::vector<TokenId>> tokens_of(const std::vector<Generation>& replies) {
  std::vector<std::vector<TokenId>> tokens;
  for (const Generation& reply : replies) tokens.push_back(reply.token_ids);
  return tokens;
}

// Made by scripts/make_golden_sampling.py with transformers' generate.
TEST(PenalisedGeneration, EqualsTransformers) {
  const Json golden = Json::parse(test::golden("engine/sampling.json"));
  for (const Json& expected : golden.at("replies")) {
    const CausalLM model = load(expected.at("model").get<std::string>());
    GenerateOptions options{.max_new_tokens = 48};
    options.sampling.repetition_penalty = expected.at("repetition_penalty").get<double>();
    const Generation reply = generate_batch(model, {{.messages = kChat}}, options).front();
    EXPECT_EQ(reply.token_ids, expected.at("token_ids").get<std::vector<TokenId>>());
    EXPECT_EQ(reply.finish_reason, expected.at("finish_reason").get<std::string>());
  }
}

class SampledGeneration : public testing::Test {
 protected:
  std::vector<GenerateRequest> requests() const {
    std::vector<GenerateRequest> all;
    for (const char* prompt : {"Hi", "Who are you, then?", "the", "Hi", "Count to ten.", "Hi", "and you"})
      all.push_back({.messages = {{"user", prompt}}});
    return all;
  }
  std::vector<std::vector<TokenId>> sample(const std::vector<GenerateRequest>& all, std::int64_t batch,
                                           const SamplingOptions& sampling) const {
    return tokens_of(
        generate_batch(model, all, {.max_new_tokens = 24, .batch_size = batch, .sampling = sampling}));
  }

  CausalLM model = load("qwen2");
};

// Requests join and leave in another order with every batch size.
TEST_F(SampledGeneration, BatchSizeChangesNothing) {
  const SamplingOptions sampling{.temperature = 1.5, .top_p = 0.95, .repetition_penalty = 1.1, .seed = 11};
  const auto alone = sample(requests(), 1, sampling);
  for (const std::int64_t batch : {2, 3, 7, 64})
    EXPECT_EQ(sample(requests(), batch, sampling), alone) << batch;
  EXPECT_NE(alone[0], alone[3]) << "equal prompts, but other draws";
  EXPECT_NE(alone[3], alone[5]);
}

TEST_F(SampledGeneration, SameSeedSameReplyOtherSeedAnother) {
  EXPECT_EQ(sample(requests(), 4, {.temperature = 1, .seed = 5}),
            sample(requests(), 4, {.temperature = 1, .seed = 5}));
  EXPECT_NE(sample(requests(), 4, {.temperature = 1, .seed = 5}),
            sample(requests(), 4, {.temperature = 1, .seed = 6}));
}

TEST_F(SampledGeneration, TopKOfOneIsGreedy) {
  EXPECT_EQ(sample(requests(), 4, {.temperature = 1, .top_k = 1, .seed = 5}), sample(requests(), 4, {}));
}

// Each request of a mixed batch gives what it gives alone.
TEST_F(SampledGeneration, SamplingBelongsToTheRequest) {
  std::vector<GenerateRequest> mixed = requests();
  const auto greedy = sample(requests(), 4, {});
  mixed[1].sampling = {.temperature = 1, .seed = 3};
  mixed[4].sampling = {.temperature = 2, .top_k = 20, .seed = 4};
  const auto together = sample(mixed, 4, {});
  for (size_t i = 0; i < mixed.size(); ++i) {
    EXPECT_EQ(together[i], sample({mixed[i]}, 1, {}).front()) << i;
    EXPECT_EQ(together[i] == greedy[i], i != 1 && i != 4) << i;
  }
}

// 2000 first tokens against the softmax of the logits, which are computed without the engine.
TEST_F(SampledGeneration, FirstTokensFollowTheModelsDistribution) {
  constexpr std::int64_t kRequests = 2000, kKept = 8;
  const std::vector<GenerateRequest> all(kRequests, {.messages = kChat});
  const std::vector<Generation> replies =
      generate_batch(model, all,
                     {.max_new_tokens = 1,
                      .batch_size = 128,
                      .logprobs = 1,
                      .sampling = {.temperature = 1, .top_k = kKept, .seed = 2}});
  const at::Tensor logits = model.logits({replies.front().prompt_ids}, LogitsOf::last_token)[0];
  const auto [values, ids] = at::topk(logits.to(at::kDouble), kKept);
  const at::Tensor expected = at::softmax(values, 0) * static_cast<double>(kRequests);
  double chi_square = 0, seen = 0;
  for (std::int64_t k = 0; k < kKept; ++k) {
    double count = 0;
    for (const Generation& reply : replies)
      count += reply.token_ids.front() == ids[k].item<TokenId>() ? 1 : 0;
    const double e = expected[k].item<double>();
    chi_square += (count - e) * (count - e) / e;
    seen += count;
  }
  EXPECT_EQ(seen, kRequests);
  EXPECT_LT(chi_square, 24.32) << "7 degrees of freedom, p = 0.001";
  EXPECT_EQ(replies.front().logprobs.front().front().id, ids[0].item<TokenId>())
      << "logprobs are the model's, whatever is drawn";
}

TEST_F(SampledGeneration, R3_BadOptionsAreRefusedBeforeComputing) {
  EXPECT_EQ(code_of([&] { sample(requests(), 1, {.temperature = -1}); }), "arg.range");
  EXPECT_EQ(code_of([&] { sample(requests(), 1, {.top_p = 0.5}); }), "arg.range");
  std::vector<GenerateRequest> all = requests();
  all[2].sampling = SamplingOptions{.temperature = std::nan("")};
  EXPECT_EQ(code_of([&] { sample(all, 1, {}); }), "arg.range");
}

}  // namespace
}  // namespace safetylock
