// A gate in generation: what it opens on is answered as by an unconditional lock, the rest as by the unlocked
// model, however requests share batches and slots.
#include <cmath>
#include <numeric>

#include "engine/golden_requests.h"
#include "engine/token_generator.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::Golden;
using test::load_bare;

constexpr std::int64_t kTokens = 24;
const char* const kPrompts[] = {"0", "1", "2", "1", "0", "2", "2"};

/// Reads one head of the last layer, so that nothing before it can be cut short.
Gate gate_on(const CausalLM& model, GatePosition position, float bias = 0) {
  GateHead head{.id = {model.config().num_hidden_layers - 1, 1}, .position = position, .weights = {}};
  for (std::int64_t j = 0; j < model.config().head_dim; ++j)
    head.weights.push_back(static_cast<float>(std::cos(static_cast<double>(j))));
  return {.heads = {head}, .bias = bias, .prompts_digest = {}};
}

/// The score of each of kPrompts, from the head outputs of transformers.
std::map<std::string, double> golden_scores(const std::string& name, const Gate& gate) {
  const Golden golden(name);
  std::map<std::string, double> scores;
  for (const std::string i : {"0", "1", "2"}) {
    const GateHead& head = gate.heads.front();
    const at::Tensor last = golden.floats("heads." + i)[-1][head.id.layer][head.id.head];
    scores[i] = (last * at::tensor(head.weights)).sum().item<double>() + static_cast<double>(gate.bias);
  }
  return scores;
}

/// A threshold between the two highest of three scores: one prompt opens it.
GateRule rule_for_one(const std::map<std::string, double>& scores) {
  std::vector<double> sorted;
  for (const auto& [prompt, score] : scores) sorted.push_back(score);
  std::sort(sorted.begin(), sorted.end());
  return {.threshold = probability_of((sorted[1] + sorted[2]) / 2)};
}

std::vector<TokenRequest> requests(const std::string& name, bool gated, const std::vector<double>& alphas) {
  const Golden golden(name);
  std::vector<TokenRequest> out;
  for (size_t r = 0; r < std::size(kPrompts); ++r) {
    std::vector<TokenId> ids = golden.integers(std::string("ids.") + kPrompts[r]);
    const auto length = static_cast<std::int64_t>(ids.size());
    out.push_back({.prompt_ids = std::move(ids),
                   .strength = Strength(alphas[r]),
                   .gated = gated,
                   .places = {.message = {0, length - 1}, .length = length}});
  }
  return out;
}

struct Setting {
  std::int64_t batch;
  bool fixed_buffers;
};

std::vector<TokenResult> run(const CausalLM& model, std::vector<TokenRequest> requests,
                             const Setting& setting, const std::shared_ptr<const GateProbe>& probe = nullptr,
                             GateRule rule = {}) {
  const auto biases =
      test::random_interventions(model.config(), {0, model.config().num_hidden_layers - 1}, {}).biases;
  return TokenGenerator(model.impl(), biases, std::move(requests),
                        {.max_new_tokens = kTokens,
                         .batch_size = setting.batch,
                         .logprobs = 2,
                         .stop_ids = {},
                         .on_progress = {},
                         .gate = probe,
                         .rule = rule,
                         .fixed_buffers = setting.fixed_buffers})
      .run();
}

void expect_same(const std::vector<TokenResult>& found, const std::vector<TokenResult>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t r = 0; r < found.size(); ++r) {
    EXPECT_EQ(found[r].token_ids, expected[r].token_ids) << "request " << r;
    ASSERT_EQ(found[r].logprobs.size(), expected[r].logprobs.size());
    for (size_t step = 0; step < found[r].logprobs.size(); ++step)
      EXPECT_NEAR(found[r].logprobs[step][0].logprob, expected[r].logprobs[step][0].logprob, 1e-4)
          << "request " << r << ", step " << step;
  }
}

class GatedGeneration : public testing::TestWithParam<std::string> {};

TEST_P(GatedGeneration, OpensOnExactlyItsRequestsInAnyBatch) {
  const CausalLM model = load_bare(GetParam());
  const Gate gate = gate_on(model, GatePosition::last_token);
  const auto scores = golden_scores(GetParam(), gate);
  const GateRule rule = rule_for_one(scores);
  const auto probe = std::make_shared<const GateProbe>(gate, model.device());
  // Strengths differ from request to request, and one is unlocked by its own wish.
  std::vector<double> asked = {40, 30, 50, 20, 40, 0, 60}, given;
  for (size_t r = 0; r < asked.size(); ++r)
    given.push_back(scores.at(kPrompts[r]) >= log_odds(rule.threshold) ? asked[r] : 0);
  const std::vector<TokenResult> expected = run(model, requests(GetParam(), false, given), {7, false});
  const std::vector<TokenResult> unlocked =
      run(model, requests(GetParam(), false, std::vector<double>(7)), {7, false});
  size_t changed = 0;
  for (size_t r = 0; r < expected.size(); ++r) changed += expected[r].token_ids != unlocked[r].token_ids;
  ASSERT_GE(changed, 1U) << "the lock has to change a reply, or this proves nothing";
  for (const Setting& setting :
       {Setting{1, false}, {2, false}, {3, false}, {7, false}, {3, true}, {7, true}}) {
    const std::vector<TokenResult> found =
        run(model, requests(GetParam(), true, asked), setting, probe, rule);
    expect_same(found, expected);
    for (size_t r = 0; r < found.size(); ++r) {
      ASSERT_TRUE(found[r].gate);
      EXPECT_NEAR(found[r].gate->score, scores.at(kPrompts[r]), 1e-4);
      EXPECT_EQ(found[r].gate->opened(), scores.at(kPrompts[r]) >= log_odds(rule.threshold));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, GatedGeneration,
                         testing::Values("llama_gqa", "qwen2", "gemma3", "mistral_window", "phi4_mini"),
                         [](const auto& param) { return param.param; });

TEST(GatedGenerationRules, ARampGivesAShareOfTheStrength) {
  const std::string name = "llama_gqa";
  const CausalLM model = load_bare(name);
  const Gate gate = gate_on(model, GatePosition::last_token);
  const auto scores = golden_scores(name, gate);
  const auto probe = std::make_shared<const GateProbe>(gate, model.device());
  double lowest = 1e9, highest = -1e9;
  for (const auto& [prompt, score] : scores) {
    lowest = std::min(lowest, score);
    highest = std::max(highest, score);
  }
  const GateRule rule{.threshold = probability_of(highest + 0.1), .ramp = 2 * (highest + 0.1 - lowest)};
  std::vector<double> given;
  for (const char* prompt : kPrompts) given.push_back(40 * read_score(scores.at(prompt), rule).share);
  EXPECT_LT(*std::min_element(given.begin(), given.end()), 25);
  EXPECT_GT(*std::min_element(given.begin(), given.end()), 15);
  const std::vector<double> asked(7, 40);
  for (const bool fixed_buffers : {false, true}) {
    const std::vector<TokenResult> found =
        run(model, requests(name, true, asked), {3, fixed_buffers}, probe, rule);
    expect_same(found, run(model, requests(name, false, given), {3, fixed_buffers}));
    for (size_t r = 0; r < found.size(); ++r) EXPECT_NEAR(40 * found[r].gate->share, given[r], 1e-2);
  }
}

// A gate that cannot be read must not leave a request unlocked: a position that the prompt lacks, and values
// that are no numbers where only the gate looks.
TEST(GatedGenerationRules, WhatCannotBeReadIsLocked) {
  const std::string name = "llama_gqa";
  const CausalLM model = load_bare(name);
  const std::vector<double> asked(7, 40);
  const std::vector<TokenResult> locked = run(model, requests(name, false, asked), {3, false});
  const GateRule never{.threshold = probability_of(30)};
  for (const GatePosition position : {GatePosition::template_tail, GatePosition::message}) {
    const auto probe = std::make_shared<const GateProbe>(gate_on(model, position, -50), model.device());
    std::vector<TokenRequest> blind = requests(name, true, asked);
    for (TokenRequest& request : blind) request.places.message = {};
    const std::vector<TokenResult> found = run(model, blind, {3, false}, probe, never);
    expect_same(found, locked);
    for (const TokenResult& result : found) {
      EXPECT_FALSE(result.gate->readable);
      EXPECT_TRUE(result.gate->opened());
    }
    // The same with its places is far from opening.
    for (const TokenResult& result : run(model, requests(name, true, asked), {3, false}, probe, never))
      EXPECT_FALSE(result.gate->opened());
  }
  Gate broken = gate_on(model, GatePosition::last_token);
  broken.heads[0].weights[0] = std::nanf("");
  const auto probe = std::make_shared<const GateProbe>(broken, model.device());
  expect_same(run(model, requests(name, true, asked), {3, true}, probe, never),
              run(model, requests(name, false, asked), {3, true}));
}

}  // namespace
}  // namespace safetylock
