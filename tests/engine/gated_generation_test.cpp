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
                             const Setting& setting, TokenGeneratorOptions options = {}) {
  const auto biases =
      test::random_interventions(model.config(), {0, model.config().num_hidden_layers - 1}, {}).biases;
  if (options.max_new_tokens == 0) options.max_new_tokens = kTokens;
  options.batch_size = setting.batch;
  options.logprobs = 2;
  options.fixed_buffers = setting.fixed_buffers;
  return TokenGenerator(model.impl(), biases, std::move(requests), options).run();
}

std::vector<TokenResult> run(const CausalLM& model, std::vector<TokenRequest> requests,
                             const Setting& setting, const std::shared_ptr<const GateProbe>& probe,
                             GateRule rule) {
  TokenGeneratorOptions options{};
  options.gate = probe;
  options.rule = rule;
  return run(model, std::move(requests), setting, options);
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

/// Log-odds of the gate of replies after each of the first tokens of `reply`, each from a pass of its own
/// over the whole text.
std::vector<double> reply_scores(const CausalLM& model, const std::shared_ptr<const GateProbe>& probe,
                                 const std::vector<TokenId>& prompt, const std::vector<TokenId>& reply) {
  const c10::InferenceMode inference;
  std::vector<double> scores;
  for (size_t read = 1; read <= static_cast<size_t>(kReplyGateTokens); ++read) {
    std::vector<TokenId> ids = prompt;
    ids.insert(ids.end(), reply.begin(), reply.begin() + static_cast<std::ptrdiff_t>(read));
    const auto begin = static_cast<std::int64_t>(prompt.size());
    BatchBuilder builder;
    builder.add(ids, 0, 0);
    const PackedBatch batch = builder.build();
    const std::vector<PromptPlaces> places = {
        {.message = {}, .length = begin, .reply = {begin, begin + static_cast<std::int64_t>(read)}}};
    const GateReader reader(probe, batch, places, model.device());
    DecoderPass(model.impl().decoder, batch, Steering(), reader.watching({})).run();
    scores.push_back(reader.scores().front());
  }
  return scores;
}

/// A gate that stays closed on every prompt, and one of replies.
TokenGeneratorOptions watching(const CausalLM& model, const std::shared_ptr<const GateProbe>& replies,
                               GateRule rule) {
  TokenGeneratorOptions options{};
  options.gate =
      std::make_shared<const GateProbe>(gate_on(model, GatePosition::last_token, -50), model.device());
  options.reply_gate = replies;
  options.reply_rule = rule;
  return options;
}

double largest(const std::vector<double>& scores) {
  return *std::max_element(scores.begin(), scores.end());
}

// What was written before the gate of replies opened is void: the request is answered as by an unconditional
// lock. All others are answered as by the unlocked model. However they share batches and slots.
TEST_P(GatedGeneration, AReplyThatOpensItsGateIsBegunAnew) {
  const CausalLM model = load_bare(GetParam());
  const auto probe = std::make_shared<const GateProbe>(gate_on(model, GatePosition::reply), model.device());
  const std::vector<double> asked = {40, 30, 50, 20, 40, 0, 60};
  const std::vector<TokenResult> unlocked =
      run(model, requests(GetParam(), false, std::vector<double>(7)), {7, false});
  std::map<std::string, std::vector<double>> scores;
  const Golden golden(GetParam());
  for (size_t r = 0; r < unlocked.size(); ++r) {
    scores[kPrompts[r]] =
        reply_scores(model, probe, golden.integers(std::string("ids.") + kPrompts[r]), unlocked[r].token_ids);
  }
  std::map<std::string, double> highest;
  for (const auto& [prompt, of_tokens] : scores) highest[prompt] = largest(of_tokens);
  const GateRule rule = rule_for_one(highest);
  std::vector<double> given;
  for (size_t r = 0; r < asked.size(); ++r)
    given.push_back(highest.at(kPrompts[r]) >= log_odds(rule.threshold) ? asked[r] : 0);
  const std::vector<TokenResult> expected = run(model, requests(GetParam(), false, given), {7, false});
  for (const Setting& setting :
       {Setting{1, false}, {2, false}, {3, false}, {7, false}, {3, true}, {7, true}}) {
    const std::vector<TokenResult> found =
        run(model, requests(GetParam(), true, asked), setting, watching(model, probe, rule));
    expect_same(found, expected);
    for (size_t r = 0; r < found.size(); ++r) {
      const std::vector<double>& of_tokens = scores.at(kPrompts[r]);
      const auto opens = std::find_if(of_tokens.begin(), of_tokens.end(),
                                      [&](double score) { return score >= log_odds(rule.threshold); });
      EXPECT_EQ(found[r].gate->opened(), opens != of_tokens.end());
      EXPECT_EQ(found[r].gate->reply_tokens, opens == of_tokens.end() ? 0 : opens - of_tokens.begin() + 1);
      EXPECT_NEAR(*found[r].gate->reply_score, opens == of_tokens.end() ? largest(of_tokens) : *opens, 1e-3);
    }
  }
}

TEST(GatedGenerationRules, AReplyIsShownOnceItsGateHasRead) {
  const std::string name = "llama_gqa";
  const CausalLM model = load_bare(name);
  const std::vector<double> asked(7, 40);
  const auto probe = std::make_shared<const GateProbe>(gate_on(model, GatePosition::reply), model.device());
  const std::vector<TokenResult> unlocked =
      run(model, requests(name, false, std::vector<double>(7)), {7, false});
  const std::vector<TokenResult> locked = run(model, requests(name, false, asked), {7, false});
  for (const bool opens : {true, false}) {
    const GateRule rule{.threshold = probability_of(opens ? -30 : 30)};
    for (const std::int64_t longest : {std::int64_t{1}, std::int64_t{3}, kReplyGateTokens, kTokens}) {
      TokenGeneratorOptions options = watching(model, probe, rule);
      options.max_new_tokens = longest;
      std::map<size_t, std::vector<TokenId>> seen;
      std::map<size_t, int> ended;
      options.on_token = [&](size_t request, TokenId token) {
        EXPECT_EQ(ended[request], 0);
        seen[request].push_back(token);
        return true;
      };
      options.on_end = [&](size_t request) { ++ended[request]; };
      const std::vector<TokenResult> found = run(model, requests(name, true, asked), {3, false}, options);
      for (size_t r = 0; r < found.size(); ++r) {
        // A reply of one token has ended before the model has read it.
        const std::vector<TokenId>& whole = (opens && longest > 1 ? locked : unlocked)[r].token_ids;
        EXPECT_EQ(found[r].token_ids, std::vector<TokenId>(whole.begin(), whole.begin() + longest));
        EXPECT_EQ(found[r].finish_reason, "length");
        EXPECT_EQ(found[r].logprobs.size(), static_cast<size_t>(longest));
        EXPECT_EQ(seen[r], found[r].token_ids);
        EXPECT_EQ(ended[r], 1);
      }
    }
  }
}

// A stop string in what was held back ends the reply where it would have ended it.
TEST(GatedGenerationRules, WhatWasHeldBackCanStillBeStopped) {
  const std::string name = "llama_gqa";
  const CausalLM model = load_bare(name);
  const auto probe = std::make_shared<const GateProbe>(gate_on(model, GatePosition::reply), model.device());
  TokenGeneratorOptions options = watching(model, probe, {.threshold = probability_of(30)});
  std::map<size_t, size_t> seen;
  options.on_token = [&](size_t request, TokenId) { return ++seen[request] < 1 + request; };
  const std::vector<TokenResult> found =
      run(model, requests(name, true, std::vector<double>(7, 40)), {3, false}, options);
  for (size_t r = 0; r < found.size(); ++r) {
    EXPECT_EQ(found[r].token_ids.size(), 1 + r);
    EXPECT_EQ(found[r].logprobs.size(), 1 + r);
    EXPECT_EQ(found[r].finish_reason, "stop");
  }
}

TEST(GatedGenerationRules, AReplyThatCannotBeReadIsLocked) {
  const std::string name = "llama_gqa";
  const CausalLM model = load_bare(name);
  Gate broken = gate_on(model, GatePosition::reply);
  broken.heads[0].weights[0] = std::nanf("");
  const auto probe = std::make_shared<const GateProbe>(broken, model.device());
  const std::vector<double> asked(7, 40);
  const std::vector<TokenResult> found = run(model, requests(name, true, asked), {3, false},
                                             watching(model, probe, {.threshold = probability_of(30)}));
  expect_same(found, run(model, requests(name, false, asked), {3, false}));
  for (const TokenResult& result : found) {
    EXPECT_FALSE(result.gate->readable);
    EXPECT_EQ(result.gate->reply_tokens, 1);
  }
}

}  // namespace
}  // namespace safetylock
