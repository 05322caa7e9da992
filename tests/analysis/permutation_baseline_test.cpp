#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "analysis/label_swaps.h"
#include "analysis/question_rows.h"
#include "analysis/trials.h"
#include "safetylock/ranking_evidence.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::noise;
using test::QuestionRows;

PermutationBaseline baseline_of(const QuestionRows& rows, std::int64_t rounds,
                                const RankOptions& options = {}) {
  return permutation_baseline(rows.values, rows.labels, rows.groups, options, rounds);
}

TEST(PermutationBaseline, PValueCountsTheObservedRankingAsOneMore) {
  const PermutationBaseline baseline{.rounds = 4, .top_accuracy = {0.6, 0.5, 0.7, 0.6}, .mean_accuracy = {}};
  EXPECT_DOUBLE_EQ(baseline.p_value(0.8), 1.0 / 5);
  EXPECT_DOUBLE_EQ(baseline.p_value(0.7), 2.0 / 5) << "a tie counts against the head";
  EXPECT_DOUBLE_EQ(baseline.p_value(0.7 + 1e-15), 2.0 / 5);
  EXPECT_DOUBLE_EQ(baseline.p_value(0.6), 4.0 / 5);
  EXPECT_DOUBLE_EQ(baseline.p_value(0.1), 1.0);
}

TEST(PermutationBaseline, SwapsWholeQuestionsByAFairCoin) {
  const QuestionRows rows = noise(10, 50, 1, 1, 2);
  const std::vector<std::int64_t> labels = checked_labels(rows.labels, 500, "test");
  const Questions questions = number_questions(checked_integers(rows.groups, 500, "test", "groups"));
  LabelSwaps swaps(questions, labels, {}, 3);
  std::set<std::vector<std::int64_t>> seen;
  std::int64_t swapped = 0;
  for (int draw = 0; draw < 20; ++draw) {
    const std::vector<std::int64_t> drawn = swaps.next();
    seen.insert(drawn);
    for (size_t q = 0; q < 50; ++q) {
      const bool coin = drawn[10 * q] != labels[10 * q];
      swapped += coin;
      for (size_t row = 10 * q; row < 10 * q + 10; ++row) EXPECT_EQ(drawn[row] != labels[row], coin);
    }
  }
  EXPECT_EQ(seen.size(), 20U);
  EXPECT_NEAR(static_cast<double>(swapped), 500, 80) << "of 1000, standard deviation 16";
}

TEST(PermutationBaseline, EqualsScikitLearnUnderTheSameSwaps) {
  const std::int64_t questions = 16, n = 160;
  QuestionRows rows = noise(20, questions, 1, 1, 1);
  rows.values =
      (at::tensor(test::generated_integers(20, n * 24 * 16), at::kDouble) * 0x1p-15).view({n, 3, 8, 16});
  const RankingInput input(rows.values, rows.labels, rows.groups, "test");
  const std::set<std::int64_t> train = {0, 2, 3, 5, 7, 8, 10, 11, 14, 15};
  Split split;
  for (std::int64_t row = 0; row < n; ++row)
    (train.contains(row / 10) ? split.train : split.validation).push_back(row);
  std::vector<Trial> trials;
  const nlohmann::json golden = test::probe_golden()["swapped_labels"];
  for (const nlohmann::json& round : golden) {
    Trial trial{.labels = input.labels, .splits = {split}};
    for (const std::int64_t question : round["swapped"].get<std::vector<std::int64_t>>())
      for (std::int64_t row = 10 * question; row < 10 * question + 10; ++row)
        trial.labels[static_cast<size_t>(row)] ^= 1;
    trials.push_back(std::move(trial));
  }
  const std::vector<std::vector<HeadScore>> scores = score_trials(input, trials, {}, "test");
  ASSERT_EQ(scores.size(), 2U);
  for (size_t r = 0; r < 2; ++r)
    for (size_t m = 0; m < 24; ++m)
      EXPECT_NEAR(scores[r][m].accuracy, golden[r]["accuracy"][m].get<double>(), 1e-12) << r << ", " << m;
}

TEST(PermutationBaseline, APlantedHeadBeatsItAndTheOthersDoNot) {
  QuestionRows rows = noise(100, 30, 2, 6, 8);
  test::plant(rows, 1, 4, 1.0, 701);
  const PermutationBaseline baseline = baseline_of(rows, 20);
  ASSERT_EQ(baseline.top_accuracy.size(), 20U);
  const std::vector<HeadScore> ranking = rank_heads(rows.values, rows.labels, rows.groups);
  EXPECT_EQ(ranking[0].id, (HeadId{1, 4}));
  EXPECT_DOUBLE_EQ(baseline.p_value(ranking[0].accuracy), 1.0 / 21);
  for (size_t i = 1; i < ranking.size(); ++i) EXPECT_GT(baseline.p_value(ranking[i].accuracy), 0.05) << i;
  EXPECT_LT(baseline.top_quantile_95, ranking[0].accuracy);
  for (size_t r = 0; r < 20; ++r) EXPECT_GE(baseline.top_accuracy[r], baseline.mean_accuracy[r]);
}

TEST(PermutationBaseline, NoiseGivesEveryPValueAboutEquallyOften) {
  // 60 data sets without a signal, 9 rounds each: p is one of 0.1, 0.2 ... 1.
  std::vector<double> p;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const QuestionRows rows = noise(2000 + seed, 8, 1, 3, 4, 0.5);
    const RankOptions options{.seed = seed, .repeats = 2};
    const double best = rank_heads(rows.values, rows.labels, rows.groups, options).front().accuracy;
    p.push_back(baseline_of(rows, 9, options).p_value(best));
  }
  const auto small = std::count_if(p.begin(), p.end(), [](double x) { return x < 0.15; });
  EXPECT_LE(small, 13) << "6 expected, standard deviation 2.3";
  EXPECT_GE(small, 1);
  EXPECT_NEAR(std::accumulate(p.begin(), p.end(), 0.0) / 60, 0.55, 0.12) << "standard error 0.04";
}

TEST(PermutationBaseline, ShowsTheLeakOfARowSplit) {
  const QuestionRows rows = noise(300, 20, 2, 4, 64, 0.9);  // the tokens of a reply are nearly one row
  const auto mean = [](const PermutationBaseline& b) {
    return std::accumulate(b.mean_accuracy.begin(), b.mean_accuracy.end(), 0.0) / 3;
  };
  EXPECT_NEAR(mean(baseline_of(rows, 3)), 0.5, 0.08);
  EXPECT_GT(mean(baseline_of(rows, 3, {.protocol = "paper"})), 0.9);
}

TEST(PermutationBaseline, IsTheSameForTheSameSeedAndNotForAnother) {
  const QuestionRows rows = noise(400, 10, 1, 4, 4);
  EXPECT_EQ(baseline_of(rows, 5, {.seed = 7}).top_accuracy, baseline_of(rows, 5, {.seed = 7}).top_accuracy);
  EXPECT_NE(baseline_of(rows, 5, {.seed = 7}).mean_accuracy, baseline_of(rows, 5, {.seed = 8}).mean_accuracy);
}

TEST(PermutationBaseline, RefusesWhatCannotBePermuted) {
  QuestionRows rows = noise(500, 6, 1, 2, 4);
  EXPECT_EQ(code_of([&] { baseline_of(rows, 0); }), "arg.range");
  EXPECT_EQ(code_of([&] { baseline_of(rows, 2, {.probe = {.C = 0}}); }), "arg.range");
  rows.labels.narrow(0, 20, 10).fill_(1);
  const auto error = test::error_of([&] { baseline_of(rows, 2); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "data.single_class");
  EXPECT_EQ(error->found, "one class in question 2");
}

TEST(PermutationBaseline, FewRowsSplitByRowAlwaysKeepBothClasses) {
  // Four questions of one token a reply: 5 rows train, 3 validate, and most swaps leave a side with one
  // class.
  QuestionRows rows = noise(600, 4, 1, 2, 3);
  const at::Tensor kept = at::arange(0, 40, 5, at::kLong);
  rows = {rows.values.index_select(0, kept), rows.labels.index_select(0, kept),
          rows.groups.index_select(0, kept)};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const RankOptions options{.protocol = "paper", .seed = seed};
    if (code_of([&] { rank_heads(rows.values, rows.labels, rows.groups, options); }) == "data.single_class")
      continue;
    for (const double accuracy : baseline_of(rows, 30, options).mean_accuracy) EXPECT_GT(accuracy, 0.3);
  }
}

}  // namespace
}  // namespace safetylock
