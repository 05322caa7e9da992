#include "safetylock/ranking_evidence.h"

#include <gtest/gtest.h>

#include "analysis/question_rows.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::noise;
using test::QuestionRows;

RankingEvidence evidence_of(const QuestionRows& rows, EvidenceOptions options) {
  return judge_ranking(rows.values, rows.labels, rows.groups,
                       rank_heads(rows.values, rows.labels, rows.groups, options.rank), options);
}

TEST(RankingEvidence, APlantedHeadSeparatesAndShuffledLabelsDoNot) {
  QuestionRows rows = noise(100, 24, 2, 4, 8);
  test::plant(rows, 1, 2, 1.5, 701);
  const RankingEvidence planted = evidence_of(rows, {.k = 1});
  EXPECT_EQ(planted.separates, true);
  ASSERT_TRUE(planted.stability);
  EXPECT_EQ(planted.stability->share[6], 1);
  EXPECT_EQ(planted.protocols.shared, 1);

  // The replies of every other question change places: what is left of the plant points nowhere.
  rows.labels = at::where(rows.groups.remainder(2).eq(0), rows.labels, 1 - rows.labels);
  EXPECT_EQ(evidence_of(rows, {.k = 1}).separates, false);
}

TEST(RankingEvidence, LeaksAreTheDifferenceOfValidationAccuracies) {
  // head 0: question split 0.7; row split: mean of train 1 and validation 0.9.
  const std::vector<HeadScore> grouped = {
      {.id = {0, 0}, .accuracy = 0.7}, {.id = {0, 1}, .accuracy = 0.6}, {.id = {1, 0}, .accuracy = 0.5}};
  const std::vector<HeadScore> paper = {{.id = {1, 0}, .accuracy = 0.96, .train_accuracy = 1},
                                        {.id = {0, 0}, .accuracy = 0.95, .train_accuracy = 1},
                                        {.id = {0, 1}, .accuracy = 0.75, .train_accuracy = 0.9}};
  const ProtocolComparison c = compare_protocols(grouped, paper, grouped, 2);
  EXPECT_EQ(c.k, 2);
  EXPECT_DOUBLE_EQ(c.grouped_accuracy, 0.65);
  EXPECT_DOUBLE_EQ(c.paper_accuracy, 0.85);
  EXPECT_DOUBLE_EQ(c.row_split_accuracy, 0.75);
  EXPECT_NEAR(c.leak, 0.1, 1e-12);
  EXPECT_NEAR(c.leak_of_all_heads, (0.2 + 0.0 + 0.42) / 3, 1e-12);
  EXPECT_EQ(c.shared, 1);
  const ProtocolComparison of_paper = compare_protocols(grouped, paper, paper, 2);
  EXPECT_DOUBLE_EQ(of_paper.grouped_accuracy, 0.6);
  EXPECT_NEAR(of_paper.leak, (0.42 + 0.2) / 2, 1e-12);
  EXPECT_EQ(of_paper.shared, 1);

  EXPECT_EQ(code_of([&] { compare_protocols(grouped, paper, grouped, 4); }), "arg.range");
  EXPECT_EQ(code_of([&] { compare_protocols(grouped, paper, grouped, 0); }), "arg.range");
  EXPECT_EQ(code_of([&] { compare_protocols(grouped, {paper[0]}, grouped, 1); }), "arg.shape");
  EXPECT_EQ(code_of([&] { compare_protocols(grouped, paper, {{.id = {5, 5}}}, 1); }), "arg.shape");
}

TEST(RankingEvidence, TheLeakOfRepeatedRowsIsSeenUnderEitherProtocol) {
  const QuestionRows rows = noise(300, 20, 2, 4, 64, 0.9);
  for (const char* protocol : {"grouped", "paper"}) {
    const RankingEvidence found = evidence_of(
        rows, {.rank = {.protocol = protocol}, .k = 2, .permutations = 19, .stability_rounds = 0});
    EXPECT_GT(found.protocols.leak_of_all_heads, 0.35) << protocol;
    EXPECT_GT(found.paper_on_shuffled_labels, 0.9) << protocol;
    EXPECT_EQ(found.separates, false) << protocol;
    EXPECT_FALSE(found.stability);
  }
}

TEST(RankingEvidence, WithoutRoundsNothingIsSaid) {
  const QuestionRows rows = noise(400, 7, 1, 3, 4);
  const RankingEvidence found = evidence_of(rows, {.k = 2, .permutations = 0});
  EXPECT_FALSE(found.permutation);
  EXPECT_FALSE(found.separates);
  EXPECT_FALSE(found.paper_on_shuffled_labels);
  EXPECT_FALSE(found.stability) << "7 questions have no halves of 4";
}

}  // namespace
}  // namespace safetylock
