#include "engine/sampling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "base/json.h"
#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::code_of;

SamplingOptions options_of(const Json& json) {
  return {.temperature = json.at("temperature").get<double>(),
          .top_k = json.at("top_k").get<std::int64_t>(),
          .top_p = json.at("top_p").get<double>(),
          .min_p = json.at("min_p").get<double>(),
          .repetition_penalty = json.at("repetition_penalty").get<double>()};
}

/// Probabilities of what may be chosen.
std::map<TokenId, double> distribution(std::span<const float> logits, const SamplingContext& context,
                                       const SamplingOptions& options) {
  Sampler sampler;
  std::map<TokenId, double> result;
  double total = 0;
  for (const SamplingCandidate& c : sampler.candidates(logits, context, options)) total += c.weight;
  for (const SamplingCandidate& c : sampler.candidates(logits, context, options))
    result[c.id] = c.weight / total;
  return result;
}

std::vector<double> sorted_values(const std::map<TokenId, double>& distribution) {
  std::vector<double> values;
  for (const auto& [id, p] : distribution) values.push_back(p);
  std::sort(values.begin(), values.end());
  return values;
}

// Made by scripts/make_golden_sampling.py.
TEST(Sampling, CandidatesAndProbabilitiesEqualTransformers) {
  const Json golden = Json::parse(test::golden("engine/sampling.json"));
  for (const Json& row : golden.at("rows")) {
    std::vector<float> logits;
    for (const Json& value : row.at("logits")) logits.push_back(value.get<float>() / 64);
    const auto seen = row.at("seen").get<std::vector<TokenId>>();
    // Where the prompt ends and the reply begins makes no difference.
    const SamplingContext context{.prompt = std::span(seen).first(3), .reply = std::span(seen).subspan(3)};
    for (const Json& entry : row.at("cases")) {
      SCOPED_TRACE(row.at("name").get<std::string>() + " " + entry.at("options").dump());
      const SamplingOptions options = options_of(entry.at("options"));
      std::map<TokenId, double> expected;
      for (size_t i = 0; i < entry.at("ids").size(); ++i)
        expected[entry.at("ids")[i].get<TokenId>()] = entry.at("probabilities")[i].get<double>();
      const std::map<TokenId, double> found = distribution(logits, context, options);
      EXPECT_THAT(sorted_values(found),
                  testing::Pointwise(testing::DoubleNear(1e-8), sorted_values(expected)));
      // Which of several equal tokens top-p drops is left open by torch's sort.
      if (row.at("has_ties").get<bool>() && options.top_p < 1) continue;
      for (const auto& [id, p] : expected) {
        ASSERT_TRUE(found.contains(id)) << id;
        EXPECT_NEAR(found.at(id), p, 1e-8);
      }
    }
  }
}

TEST(Sampling, OfEqualTokensTopPKeepsTheFirst) {
  const std::vector<float> logits(4, 1.5F);
  for (const auto& [p, kept] : {std::pair{0.0, 1U}, {0.25, 1U}, {0.26, 2U}, {0.75, 3U}, {0.76, 4U}}) {
    const auto found = distribution(logits, {}, {.temperature = 1, .top_p = p});
    EXPECT_EQ(found.size(), kept);
    EXPECT_EQ(found.rbegin()->first, static_cast<TokenId>(kept) - 1);
  }
}

TEST(Sampling, TemperatureZeroTakesTheLargestAndOfEqualOnesTheFirst) {
  Sampler sampler;
  const std::vector<float> logits = {1, 4, -2, 4, 3.5F};
  EXPECT_EQ(sampler.choose(logits, {}, {}, 0.99), 1);
  const std::vector<TokenId> seen = {1, 3};
  const SamplingOptions penalised{.repetition_penalty = 1.2};
  EXPECT_EQ(sampler.choose(logits, {.prompt = seen, .reply = {}}, penalised, 0), 4);
  EXPECT_EQ(sampler.choose(logits, {.prompt = {}, .reply = std::span(seen).first(1)}, penalised, 0), 3);
  EXPECT_TRUE(is_greedy({}));
  EXPECT_FALSE(is_greedy(penalised));
}

TEST(Sampling, ExtremeLogitsAndTemperaturesStayNumbers) {
  Sampler sampler;
  constexpr float kLargest = std::numeric_limits<float>::max();
  const std::vector<float> logits = {-kLargest, kLargest, 0, kLargest};
  const SamplingOptions coldest{.temperature = std::numeric_limits<double>::denorm_min()};
  std::set<TokenId> chosen;
  for (const double draw : {0.0, 0.49, 0.51, 1 - 0x1p-53})
    chosen.insert(sampler.choose(logits, {}, coldest, draw));
  EXPECT_EQ(chosen, (std::set<TokenId>{1, 3}));
  EXPECT_EQ(sampler.choose(std::vector<float>{7}, {}, {.temperature = 100}, 0.5), 0);
}

TEST(Sampling, EveryDrawFallsOnItsShare) {
  Sampler sampler;
  const std::vector<float> logits = {std::log(0.25F), std::log(0.5F), std::log(0.25F)};
  const SamplingOptions options{.temperature = 1};
  const std::vector<std::pair<double, TokenId>> cases = {{0, 0},     {0.249, 0}, {0.251, 1},
                                                         {0.749, 1}, {0.751, 2}, {1 - 0x1p-53, 2}};
  for (const auto& [draw, id] : cases) EXPECT_EQ(sampler.choose(logits, {}, options, draw), id) << draw;
}

double chi_square(const std::vector<double>& counts, const std::vector<double>& expected) {
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i)
    sum += (counts[i] - expected[i]) * (counts[i] - expected[i]) / expected[i];
  return sum;
}

// A planted distribution, found again: over the steps of one request, and over requests at one step.
TEST(Sampling, FrequenciesAreTheProbabilities) {
  const std::vector<double> planted = {0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01};
  std::vector<float> logits;
  for (const double p : planted) logits.push_back(static_cast<float>(std::log(p)) + 3);
  constexpr std::uint64_t kDraws = 200000;
  std::vector<double> expected;
  for (const double p : planted) expected.push_back(p * kDraws);
  Sampler sampler;
  for (const bool over_steps : {true, false}) {
    std::vector<double> counts(planted.size());
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      const double draw = over_steps ? uniform_draw(7, 0, i) : uniform_draw(7, i, 0);
      ++counts[static_cast<size_t>(sampler.choose(logits, {}, {.temperature = 1}, draw))];
    }
    EXPECT_LT(chi_square(counts, expected), 24.32) << "7 degrees of freedom, p = 0.001";
  }
}

// A draw says nothing about its neighbours: the next step, the next request, the next seed.
TEST(Sampling, DrawsAreIndependent) {
  constexpr std::uint64_t kDraws = 100000;
  const std::vector<double> expected(100, kDraws / 100.0);
  const std::array<std::array<std::uint64_t, 3>, 3> neighbours = {{{0, 0, 1}, {0, 1, 0}, {1, 0, 0}}};
  for (const auto& [seed, request, step] : neighbours) {
    std::vector<double> counts(100);
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      // The index runs along another axis than the neighbour lies on, so that no draw is used twice.
      const std::uint64_t s = 3, r = step == 1 ? i : 5, t = step == 1 ? 5 : i;
      const auto a = static_cast<size_t>(10 * uniform_draw(s, r, t));
      const auto b = static_cast<size_t>(10 * uniform_draw(s + seed, r + request, t + step));
      ++counts[10 * a + b];
    }
    EXPECT_LT(chi_square(counts, expected), 148.23) << "99 degrees of freedom, p = 0.001";
  }
  EXPECT_EQ(uniform_draw(1, 2, 3), uniform_draw(1, 2, 3));
}

TEST(Sampling, R3_OptionsOutOfRangeAreRefused) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto refused = [](const SamplingOptions& options, const std::string& name) {
    const auto error = test::error_of([&] { check_sampling(options); });
    ASSERT_TRUE(error) << name;
    EXPECT_EQ(error->code, "arg.range");
    EXPECT_EQ(error->where, "sampling." + name);
  };
  for (const double bad : {kNan, kInfinity, -kInfinity, -1.0, 100.5}) {
    refused({.temperature = bad}, "temperature");
    refused({.temperature = 1, .top_p = bad}, "top_p");
    refused({.temperature = 1, .min_p = bad}, "min_p");
    refused({.repetition_penalty = bad}, "repetition_penalty");
  }
  refused({.repetition_penalty = 0}, "repetition_penalty");
  refused({.temperature = 1, .top_k = -1}, "top_k");
  refused({.temperature = 1, .top_p = 1.001}, "top_p");
  for (const double good : {0.0, 1e-300, 1.0, 100.0})
    EXPECT_EQ(code_of([&] { check_sampling({.temperature = good}); }), "no error");
}

TEST(Sampling, FiltersWithoutEffectAreRefused) {
  EXPECT_EQ(code_of([] { check_sampling({.top_k = 40}); }), "arg.range");
  EXPECT_EQ(code_of([] { check_sampling({.top_p = 0.9}); }), "arg.range");
  EXPECT_EQ(code_of([] { check_sampling({.min_p = 0.1}); }), "arg.range");
  EXPECT_EQ(code_of([] { check_sampling({.repetition_penalty = 1.1, .seed = 4}); }), "no error");
}

}  // namespace
}  // namespace safetylock
