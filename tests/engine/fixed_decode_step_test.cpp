#include "engine/fixed_decode_step.h"

#include <ATen/Context.h>

#include "engine/golden_requests.h"
#include "engine/token_generator.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::Golden;
using test::load_bare;
using test::relative_difference;

TokenGeneratorOptions options_for(std::int64_t tokens, std::int64_t batch) {
  return {.max_new_tokens = tokens,
          .batch_size = batch,
          .logprobs = 0,
          .stop_ids = {},
          .on_progress = {},
          .fixed_buffers = true};
}

class FixedGeneration : public testing::TestWithParam<std::string> {};

// Reference: transformers' greedy tokens. Five requests in three places: batches of 4 and less, of which some
// slots are idle; places are freed and taken while others go on.
TEST_P(FixedGeneration, GreedyTokensEqualTransformers) {
  const CausalLM model = load_bare(GetParam());
  const auto [requests, expected] = test::golden_requests(GetParam());
  for (const std::int64_t batch : {1, 3, 5}) {
    const std::vector<TokenResult> found =
        TokenGenerator(model.impl(), {}, requests, options_for(64, batch)).run();
    for (size_t r = 0; r < found.size(); ++r)
      EXPECT_EQ(found[r].token_ids, expected[r]) << batch << ", " << r;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, FixedGeneration, testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& param) { return param.param; });

/// Logits of the last of `ids` behind the others, each with its own strength, over one set of buffers.
class FixedDecodeStepTest : public testing::Test {
 protected:
  explicit FixedDecodeStepTest(const std::string& device = "cpu")
      : model(load_decoder(Checkpoint::open(test::tiny_model_path("llama_gqa")),
                           {.device = device, .dtype = "float32"})),
        decoder(model.impl().decoder),
        biases(test::random_interventions(model.config(), {0, 1, 2}, {}).biases),
        ids(Golden("llama_gqa").integers("ids.1")),
        cache(decoder.config, 2, decoder.options()) {
    for (auto& [layer, bias] : biases) bias = bias.to(model.device());
    const c10::InferenceMode inference;
    cache.reserve(static_cast<std::int64_t>(ids.size()) + 8);
    BatchBuilder builder;
    for (const std::int64_t slot : {0, 1}) builder.add({ids.begin(), ids.end() - 1}, 0, slot, {}, slot);
    const PackedBatch batch = builder.build();
    DecoderPass(decoder, batch, Steering(), {}, &cache).run();
  }

  /// Without buffers: [2, V].
  at::Tensor expected(std::vector<double> alphas) const {
    const c10::InferenceMode inference;
    BatchBuilder builder;
    for (const std::int64_t slot : {0, 1}) builder.add({ids.back()}, last(), slot, {}, slot);
    const PackedBatch batch = builder.build();
    const Interventions lock{.biases = biases, .strengths = {Strength(alphas[0]), Strength(alphas[1])}};
    KvCache copy = cache;
    const at::Tensor hidden =
        DecoderPass(decoder, batch, Steering(lock, batch.requests, 2, model.dtype()), {}, &copy).run();
    at::Tensor logits = at::empty({2, decoder.config.vocab_size}, hidden.options().dtype(at::kFloat));
    logits_into(decoder, hidden, logits);
    return logits;
  }

  at::Tensor run(FixedDecodeStep& step, float first, float second) const {
    const c10::InferenceMode inference;
    const std::vector<FixedDecodeStep::Row> rows = {{ids.back(), last(), first},
                                                    {ids.back(), last(), second}};
    return step.run(rows).clone();
  }

  std::int64_t last() const { return static_cast<std::int64_t>(ids.size()) - 1; }

  void check_strengths() {
    const c10::InferenceMode inference;
    FixedDecodeStep step(decoder, cache, biases, 2);
    const at::Tensor none = run(step, 0, 0), mixed = run(step, 6, 0), both = run(step, 2, 6);
    EXPECT_LT(relative_difference(none, expected({0, 0})), 1e-4);
    EXPECT_LT(relative_difference(mixed, expected({6, 0})), 1e-4);
    EXPECT_LT(relative_difference(both, expected({2, 6})), 1e-4);
    EXPECT_GT(relative_difference(mixed[0], none[0]), 0.01);
    EXPECT_TRUE(at::equal(mixed[1], none[1]));
    EXPECT_TRUE(at::equal(run(step, 0, 0), none)) << "nothing of the strengths before is left";
    EXPECT_EQ(step.recordings(), model.device().is_cuda() ? 1 : 0);
  }

  CausalLM model;
  const Decoder& decoder;
  std::map<std::int64_t, at::Tensor> biases;
  std::vector<TokenId> ids;
  KvCache cache;
};

TEST_F(FixedDecodeStepTest, StrengthsChangeBetweenSteps) {
  check_strengths();
}

TEST_F(FixedDecodeStepTest, AnIdleSlotChangesNothing) {
  const c10::InferenceMode inference;
  FixedDecodeStep step(decoder, cache, biases, 2);
  const at::Tensor both = run(step, 6, 3);
  const std::vector<FixedDecodeStep::Row> one = {{ids.back(), last(), 6}};
  EXPECT_TRUE(at::equal(step.run(one)[0], both[0]));
}

#if defined(SAFETYLOCK_CUDA_KERNELS)
class CudaGraph : public FixedDecodeStepTest {
 protected:
  CudaGraph() : FixedDecodeStepTest(at::globalContext().hasCUDA() ? "cuda" : "cpu") {}
  void SetUp() override {
    if (!at::globalContext().hasCUDA()) GTEST_SKIP() << "no CUDA device";
  }
};

TEST_F(CudaGraph, StrengthsChangeBetweenReplaysWithoutAnotherRecording) {
  check_strengths();
}

TEST_F(CudaGraph, GreedyTokensEqualTransformers) {
  const Golden golden("llama_gqa");
  std::vector<TokenRequest> requests;
  for (const char* i : {"0", "1", "2"})
    requests.push_back({.prompt_ids = golden.integers(std::string("ids.") + i), .strength = {}});
  const auto found = TokenGenerator(model.impl(), {}, requests, options_for(64, 2)).run();
  for (size_t r = 0; r < found.size(); ++r)
    EXPECT_EQ(found[r].token_ids, golden.integers("greedy." + std::to_string(r)));
}
#endif

}  // namespace
}  // namespace safetylock
