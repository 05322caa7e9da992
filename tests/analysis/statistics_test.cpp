#include "analysis/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "analysis/generated_rows.h"
#include "analysis/random.h"

namespace safetylock {
namespace {

TEST(Wilson, EqualsPublishedValues) {
  // Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81/263, 15/148, 0/20, 1/29.
  const struct {
    std::int64_t successes, n;
    double low, high;
  } cases[] = {
      {81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0.0, 0.1611}, {1, 29, 0.0061, 0.1718}};
  for (const auto& c : cases) {
    const Interval interval = wilson_interval(c.successes, c.n);
    EXPECT_NEAR(interval.low, c.low, 5e-5) << c.successes << "/" << c.n;
    EXPECT_NEAR(interval.high, c.high, 5e-5) << c.successes << "/" << c.n;
  }
}

nlohmann::json statistics_golden() {
  std::ifstream file(std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/analysis/statistics.json");
  return nlohmann::json::parse(file);
}

TEST(Wilson, EqualsScipy) {
  const auto golden = statistics_golden().at("wilson");
  ASSERT_EQ(golden.size(), 9U);
  for (const auto& g : golden) {
    const Interval interval = wilson_interval(g.at("successes"), g.at("n"));
    EXPECT_NEAR(interval.low, g.at("low").get<double>(), 1e-12) << g;
    EXPECT_NEAR(interval.high, g.at("high").get<double>(), 1e-12) << g;
  }
}

TEST(McNemar, EqualsScipy) {
  const auto golden = statistics_golden().at("mcnemar");
  ASSERT_EQ(golden.size(), 15U);
  for (const auto& g : golden) {
    const double p = g.at("p");
    EXPECT_NEAR(mcnemar_exact(g.at("b"), g.at("c")), p, 1e-9 * p) << g;
    EXPECT_EQ(mcnemar_exact(g.at("c"), g.at("b")), mcnemar_exact(g.at("b"), g.at("c"))) << g;
  }
}

TEST(Bootstrap, RatioOfEqualWeightsIsTheMean) {
  const std::vector<double> values = {1, 5, 2, 9, 4, 4}, twos(6, 2.0);
  const Interval mean = bootstrap_mean_interval(values, 3), ratio = bootstrap_ratio_interval(values, twos, 3);
  EXPECT_NEAR(ratio.low, mean.low / 2, 1e-12);
  EXPECT_NEAR(ratio.high, mean.high / 2, 1e-12);
}

TEST(Bootstrap, RatioIsOfSumsAndNotAMeanOfRatios) {
  // Every pair has the ratio 3, so every resample has; a long pair and a short one differ, so weights show.
  EXPECT_NEAR(bootstrap_ratio_interval(std::vector<double>{3, 30, 6}, std::vector<double>{1, 10, 2}, 1).low,
              3, 1e-12);
  const Interval uneven =
      bootstrap_ratio_interval(std::vector<double>{0, 100}, std::vector<double>{1, 99}, 1);
  EXPECT_EQ(uneven.low, 0);                    // the short pair twice
  EXPECT_NEAR(uneven.high, 100.0 / 99, 1e-9);  // the long one twice
}

TEST(Wilson, IsSymmetricAndStaysWithinZeroAndOne) {
  for (std::int64_t n : {1, 2, 40, 100}) {
    for (std::int64_t k = 0; k <= n; ++k) {
      const Interval a = wilson_interval(k, n), b = wilson_interval(n - k, n);
      EXPECT_NEAR(a.low, 1 - b.high, 1e-12);
      EXPECT_GE(a.low, 0.0);
      EXPECT_LE(a.high, 1.0);
      EXPECT_LT(a.low, a.high);
    }
  }
  EXPECT_EQ(wilson_interval(0, 0).low, 0.0);
  EXPECT_EQ(wilson_interval(0, 0).high, 1.0);
}

TEST(Percentile, InterpolatesAsNumpyDoes) {
  const std::vector<double> x = {1, 2, 4, 8};
  EXPECT_DOUBLE_EQ(percentile(x, 0.0), 1);
  EXPECT_DOUBLE_EQ(percentile(x, 1.0), 8);
  EXPECT_DOUBLE_EQ(percentile(x, 0.5), 3);
  EXPECT_DOUBLE_EQ(percentile(x, 0.9), 6.8);
  EXPECT_DOUBLE_EQ(percentile(std::vector<double>{7}, 0.3), 7);
}

TEST(Bootstrap, MeanIntervalCoversTheTrueMeanAboutNineteenTimesInTwenty) {
  int covered = 0;
  constexpr int kTrials = 400;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    const std::vector<std::int64_t> raw = test::generated_integers(1000 + trial, 60);  // true mean -2
    std::vector<double> values(raw.begin(), raw.end());
    const Interval interval = bootstrap_mean_interval(values, trial, 500);
    covered += interval.low <= -2 && -2 <= interval.high;
  }
  EXPECT_GE(covered, kTrials * 90 / 100);
  EXPECT_LE(covered, kTrials * 98 / 100);
}

TEST(Bootstrap, SameSeedSameInterval) {
  const std::vector<double> values = {1, 5, 2, 9, 3};
  const Interval a = bootstrap_mean_interval(values, 4), b = bootstrap_mean_interval(values, 4);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  const Interval point = bootstrap_mean_interval(std::vector<double>{3, 3, 3}, 4);
  EXPECT_EQ(point.low, 3);
  EXPECT_EQ(point.high, 3);
}

TEST(Bootstrap, EveryResampleDrawsAsManyAsThereAre) {
  const BootstrapResamples draws(7, 50, 1);
  for (size_t b = 0; b < draws.count(); ++b) {
    std::uint32_t total = 0;
    for (const std::uint32_t times : draws.multiplicities(b)) total += times;
    EXPECT_EQ(total, 7U);
  }
}

TEST(Auc, EqualsScikitLearnOnTiedScores) {
  const nlohmann::json all = test::probe_golden();
  ASSERT_EQ(all["areas"].size(), 3U);
  for (const nlohmann::json& golden : all["areas"]) {
    const std::uint64_t seed = golden["seed"];
    const std::int64_t levels = golden["levels"];
    std::vector<double> scores;
    std::vector<std::int64_t> labels;
    const auto positive = [](std::int64_t a, std::int64_t m) { return ((a % m) + m) % m; };
    for (const std::int64_t z : test::generated_integers(seed, 60))
      scores.push_back(static_cast<double>(positive(z, levels)));
    for (const std::int64_t z : test::generated_integers(seed + 10, 60)) labels.push_back(positive(z, 2));
    EXPECT_NEAR(area_under_roc(scores, labels), golden["auc"].get<double>(), 1e-14);
  }
}

TEST(Auc, ConstantScoresGiveOneHalf) {
  EXPECT_EQ(area_under_roc(std::vector<double>{2, 2, 2}, std::vector<std::int64_t>{0, 1, 1}), 0.5);
  EXPECT_EQ(area_under_roc(std::vector<double>{1, 2, 3}, std::vector<std::int64_t>{0, 1, 1}), 1.0);
  EXPECT_EQ(area_under_roc(std::vector<double>{3, 2, 1}, std::vector<std::int64_t>{0, 1, 1}), 0.0);
}

TEST(Random, FirstNumbersAreThoseOfTheStandard) {
  // ISO C++ [rand.predef]: the 10000th invocation of a default-seeded mt19937_64 gives 9981545732273789042.
  Random random(std::mt19937_64::default_seed);
  std::uint64_t x = 0;
  for (int i = 0; i < 10000; ++i) x = random.below(std::uint64_t{1} << 63);
  EXPECT_EQ(x, 9981545732273789042U % (std::uint64_t{1} << 63));
}

TEST(Random, BelowIsUniformAndShuffleKeepsTheValues) {
  Random random(3);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[random.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  std::vector<std::int64_t> values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<std::int64_t> shuffled = values;
  random.shuffle(shuffled);
  EXPECT_NE(shuffled, values);
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(shuffled, values);
}

}  // namespace
}  // namespace safetylock
