#include <gtest/gtest.h>

#include "analysis/question_rows.h"
#include "safetylock/ranking_evidence.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::noise;
using test::QuestionRows;

TopHeadStability stability_of(const QuestionRows& rows, std::int64_t k, std::int64_t rounds,
                              const RankOptions& options = {}) {
  return top_head_stability(rows.values, rows.labels, rows.groups, options, k, rounds);
}

TEST(TopHeadStability, PlantedHeadsAreInEveryHalf) {
  QuestionRows rows = noise(100, 40, 2, 6, 8);
  for (const auto& [layer, head] : {std::pair{0, 2}, {1, 0}, {1, 5}})
    test::plant(rows, layer, head, 2.0, static_cast<std::uint64_t>(700 + head));
  const TopHeadStability found = stability_of(rows, 3, 4);
  EXPECT_DOUBLE_EQ(found.mean_jaccard, 1);
  EXPECT_DOUBLE_EQ(found.mean_shared, 3);
  EXPECT_DOUBLE_EQ(found.chance_shared, 9.0 / 12);
  ASSERT_EQ(found.share.size(), 12U);
  for (size_t h = 0; h < 12; ++h) EXPECT_DOUBLE_EQ(found.share[h], h == 2 || h == 6 || h == 11 ? 1 : 0) << h;
}

TEST(TopHeadStability, NoiseOverlapsByChance) {
  const QuestionRows rows = noise(200, 24, 4, 8, 6);
  const TopHeadStability found = stability_of(rows, 8, 20, {.repeats = 2});
  EXPECT_NEAR(found.mean_shared, found.chance_shared, 0.8) << "standard error 0.26";
  EXPECT_NEAR(found.mean_jaccard, found.chance_jaccard, 0.07);
  double sum = 0;
  for (const double share : found.share) {
    EXPECT_LT(share, 0.7);
    sum += share;
  }
  EXPECT_NEAR(sum, 8, 1e-9) << "every half has 8 heads";
}

TEST(TopHeadStability, ChanceIsTheHypergeometricExpectation) {
  const nlohmann::json golden = test::probe_golden()["chance_overlaps"];
  ASSERT_EQ(golden.size(), 6U);
  for (const nlohmann::json& row : golden) {
    const std::int64_t m = row["m"];
    const QuestionRows rows = noise(400, 8, 1, m, 2);
    EXPECT_NEAR(stability_of(rows, row["k"], 1, {.repeats = 1}).chance_jaccard, row["jaccard"].get<double>(),
                1e-12)
        << m;
  }
}

TEST(TopHeadStability, SplitsByRowTooAndFollowsTheSeed) {
  const QuestionRows rows = noise(500, 9, 1, 6, 3);
  const TopHeadStability one = stability_of(rows, 2, 3, {.protocol = "paper", .seed = 1});
  EXPECT_EQ(one.share, stability_of(rows, 2, 3, {.protocol = "paper", .seed = 1}).share);
  EXPECT_NE(one.share, stability_of(rows, 2, 3, {.protocol = "paper", .seed = 2}).share);
}

TEST(TopHeadStability, RefusesBadInput) {
  const QuestionRows rows = noise(600, 8, 1, 3, 3);
  EXPECT_EQ(code_of([&] { stability_of(rows, 0, 1); }), "arg.range");
  EXPECT_EQ(code_of([&] { stability_of(rows, 4, 1); }), "arg.range");
  EXPECT_EQ(code_of([&] { stability_of(rows, 1, 0); }), "arg.range");
  EXPECT_EQ(code_of([&] { stability_of(noise(600, 7, 1, 3, 3), 1, 1); }), "data.too_few");
}

}  // namespace
}  // namespace safetylock
