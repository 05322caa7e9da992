#include "model/gate_probe.h"

#include <ATen/Context.h>

#include <cmath>

#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::Golden;

/// Weights that differ from head to head and position to position.
GateHead head_of(HeadId id, GatePosition position, std::int64_t dim) {
  GateHead head{.id = id, .position = position, .weights = {}};
  for (std::int64_t j = 0; j < dim; ++j) {
    head.weights.push_back(static_cast<float>(std::sin(
        static_cast<double>(3 * id.layer + 5 * id.head + 7 * static_cast<std::int64_t>(position) + j))));
  }
  return head;
}

Gate gate_for(const ModelConfig& c) {
  using enum GatePosition;
  const std::int64_t last = c.num_hidden_layers - 1, head = c.num_attention_heads - 1;
  Gate gate{.heads = {}, .bias = 0.75F, .prompts_digest = {}};
  for (const auto& [id, position] : {std::pair(HeadId{0, 0}, last_token),
                                     {HeadId{0, head}, message},
                                     {HeadId{1, 1}, last_token},
                                     {HeadId{1, 1}, template_tail},
                                     {HeadId{last, 0}, message},
                                     {HeadId{last, 0}, message_end},
                                     {HeadId{last, head}, template_tail}})
    gate.heads.push_back(head_of(id, position, c.head_dim));
  return gate;
}

/// The definition, on the head outputs [T, L, H, D] of one prompt.
double score_of(const Gate& gate, const at::Tensor& heads, const PromptPlaces& places) {
  double score = static_cast<double>(gate.bias);
  for (const GateHead& head : gate.heads) {
    const TokenRange range = places.at(head.position);
    const at::Tensor mean =
        heads.slice(0, range.begin, range.end).select(1, head.id.layer).select(1, head.id.head).mean(0);
    score += (mean * at::tensor(head.weights)).sum().item<double>();
  }
  return score;
}

std::vector<double> scores(const CausalLM& model, const std::shared_ptr<const GateProbe>& probe,
                           const std::vector<std::vector<TokenId>>& prompts,
                           const std::vector<PromptPlaces>& places) {
  const c10::InferenceMode inference;
  BatchBuilder builder;
  for (const auto& prompt : prompts) builder.add(prompt, 0, 0);
  const PackedBatch batch = builder.build();
  const GateReader reader(probe, batch, places, model.device());
  DecoderPass(model.impl().decoder, batch, Steering(), reader.watching({})).run();
  return reader.scores();
}

void expect_scores_of_transformers(const std::string& name, const CausalLM& model) {
  const Golden golden(name);
  const Gate gate = gate_for(model.config());
  const auto probe = std::make_shared<const GateProbe>(gate, model.device());
  std::vector<std::vector<TokenId>> prompts;
  std::vector<PromptPlaces> places;
  std::vector<double> expected;
  for (const std::string i : {"0", "1", "2", "1"}) {
    prompts.push_back(golden.integers("ids." + i));
    const auto length = static_cast<std::int64_t>(prompts.back().size());
    places.push_back({.message = {length / 3, length - length / 4 - 1}, .length = length});
    expected.push_back(score_of(gate, golden.floats("heads." + i), places.back()));
  }
  const std::vector<double> found = scores(model, probe, prompts, places);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], 1e-4 * (1 + std::abs(expected[i])));
}

class GateReaderTest : public testing::TestWithParam<std::string> {};

// Reference: the head outputs that transformers computes.
TEST_P(GateReaderTest, ScoresAreThoseOfTheDefinition) {
  expect_scores_of_transformers(GetParam(), test::load_bare(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Tiny, GateReaderTest, testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& param) { return param.param; });

TEST(GateReaderOnCuda, ScoresAreThoseOfTheDefinition) {
  if (!at::globalContext().hasCUDA()) GTEST_SKIP() << "no CUDA device, or a libtorch without CUDA";
  const std::string name = "llama_gqa";
  expect_scores_of_transformers(name, CausalLM(load_decoder(Checkpoint::open(test::tiny_model_path(name)),
                                                            {.device = "cuda", .dtype = "float32"})));
}

// Only the request that lacks a position, or whose values are no numbers, cannot be read.
TEST(GateReader, WhatIsMissingIsNotANumber) {
  const CausalLM model = test::load_bare("llama_gqa");
  const auto probe = std::make_shared<const GateProbe>(gate_for(model.config()), model.device());
  const PromptPlaces whole{.message = {1, 3}, .length = 5};
  const std::vector<std::vector<TokenId>> prompts(3, {5, 6, 7, 8, 9});
  std::vector<double> found = scores(model, probe, prompts, {whole, {.message = {}, .length = 5}, whole});
  EXPECT_TRUE(std::isfinite(found[0]));
  EXPECT_TRUE(std::isnan(found[1]));
  EXPECT_EQ(found[0], found[2]);
  // A message that ends the prompt leaves no tail.
  found = scores(model, probe, prompts, {whole, whole, {.message = {1, 5}, .length = 5}});
  EXPECT_TRUE(std::isfinite(found[1]));
  EXPECT_TRUE(std::isnan(found[2]));
}

TEST(GateReader, SeesWhatHooksLeaveAndOneBrokenRequestAlone) {
  const CausalLM model = test::load_bare("llama_gqa");
  const auto probe = std::make_shared<const GateProbe>(gate_for(model.config()), model.device());
  const HookHandle breaks =
      model.add_hook(HookPoint::head_output, {model.config().num_hidden_layers - 1},
                     [](const HookContext&, at::Tensor& z) { z[0].fill_(std::nanf("")); });
  const c10::InferenceMode inference;
  BatchBuilder builder;
  for (int i = 0; i < 2; ++i) builder.add({5, 6, 7, 8, 9}, 0, i);
  const PackedBatch batch = builder.build();
  const std::vector<PromptPlaces> places(2, {.message = {0, 3}, .length = 5});
  const GateReader reader(probe, batch, places, model.device());
  DecoderPass(model.impl().decoder, batch, Steering(), reader.watching(model.impl().registry->snapshot()))
      .run();
  EXPECT_TRUE(std::isnan(reader.scores()[0]));
  EXPECT_TRUE(std::isfinite(reader.scores()[1]));
}

}  // namespace
}  // namespace safetylock
