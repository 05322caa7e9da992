#include "analysis/splits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;

struct Rows {
  std::vector<std::int64_t> labels;
  Questions questions;
};

// `questions` of two replies with 1 to 3 tokens each.
Rows make_rows(std::int64_t questions) {
  std::vector<std::int64_t> labels, groups;
  for (std::int64_t q = 0; q < questions; ++q) {
    for (std::int64_t k = 0; k < 2 * (1 + q % 3); ++k) {
      labels.push_back(k % 2);
      groups.push_back(1000 - 10 * q);  // neither dense nor ascending
    }
  }
  return {labels, number_questions(groups)};
}

std::set<std::int64_t> questions_of(const Rows& rows, const std::vector<std::int64_t>& side) {
  std::set<std::int64_t> out;
  for (const std::int64_t row : side) out.insert(rows.questions.of_row[static_cast<size_t>(row)]);
  return out;
}

TEST(Splits, QuestionsAreNumberedByTheirGroupId) {
  const Questions questions = number_questions(std::vector<std::int64_t>{7, -2, 7, 100, -2});
  EXPECT_EQ(questions.of_row, (std::vector<std::int64_t>{1, 0, 1, 2, 0}));
  EXPECT_EQ(questions.count, 3);
}

TEST(Splits, D6_GroupedNeverHasAQuestionOnBothSides) {
  const Rows rows = make_rows(23);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const Split& split : make_splits(rows.questions, rows.labels, {.seed = seed})) {
      const std::set<std::int64_t> train = questions_of(rows, split.train),
                                   validation = questions_of(rows, split.validation);
      EXPECT_EQ(train.size(), 14U);  // 0.6 * 23 = 13.8
      EXPECT_EQ(train.size() + validation.size(), 23U);
      for (const std::int64_t q : train) EXPECT_FALSE(validation.contains(q));
      EXPECT_EQ(split.train.size() + split.validation.size(), rows.labels.size());
    }
  }
}

TEST(Splits, PaperSplitsRowsSoThatQuestionsLieOnBothSides) {
  const Rows rows = make_rows(23);
  const std::vector<Split> splits = make_splits(rows.questions, rows.labels, {.protocol = "paper"});
  ASSERT_EQ(splits.size(), 1U);
  EXPECT_EQ(splits[0].train.size(),
            static_cast<size_t>(std::llround(0.6 * static_cast<double>(rows.labels.size()))));
  std::vector<std::int64_t> all = splits[0].train;
  all.insert(all.end(), splits[0].validation.begin(), splits[0].validation.end());
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<std::int64_t>(i));
  std::set<std::int64_t> shared;
  const std::set<std::int64_t> train = questions_of(rows, splits[0].train);
  for (const std::int64_t q : questions_of(rows, splits[0].validation)) {
    if (train.contains(q)) shared.insert(q);
  }
  EXPECT_GT(shared.size(), 5U);
}

TEST(Splits, SeedDecidesThem) {
  const Rows rows = make_rows(30);
  const auto train = [&](std::uint64_t seed, size_t repeat) {
    return make_splits(rows.questions, rows.labels, {.seed = seed})[repeat].train;
  };
  EXPECT_EQ(train(5, 2), train(5, 2));
  EXPECT_NE(train(5, 2), train(6, 2));
  EXPECT_NE(train(5, 1), train(5, 2));
}

TEST(Splits, D4_RefusesTooFewQuestionsAndBadOptions) {
  const Rows three = make_rows(3), four = make_rows(4);
  EXPECT_EQ(code_of([&] { make_splits(three.questions, three.labels, {}); }), "data.too_few");
  EXPECT_EQ(code_of([&] { make_splits(three.questions, three.labels, {.protocol = "paper"}); }),
            "data.too_few");
  EXPECT_EQ(code_of([&] { make_splits(four.questions, four.labels, {}); }), "no error");
  EXPECT_EQ(code_of([&] { make_splits(four.questions, four.labels, {.protocol = "random"}); }),
            "arg.protocol");
  EXPECT_EQ(code_of([&] { make_splits(four.questions, four.labels, {.repeats = 0}); }), "arg.range");
  for (const double fraction : {0.0, 1.0, -1.0, std::nan("")}) {
    EXPECT_EQ(code_of([&] { make_splits(four.questions, four.labels, {.train_fraction = fraction}); }),
              "arg.range");
  }
  // Extreme fractions still leave two questions a side.
  EXPECT_EQ(
      questions_of(four, make_splits(four.questions, four.labels, {.train_fraction = 0.99})[0].validation)
          .size(),
      2U);
}

TEST(Splits, D4_RefusesASideWithOneClass) {
  // Four questions, of which only one has safe rows: some side lacks them.
  const std::vector<std::int64_t> labels = {1, 0, 0, 0, 0}, groups = {0, 0, 1, 2, 3};
  EXPECT_EQ(code_of([&] { make_splits(number_questions(groups), labels, {}); }), "data.single_class");
}

}  // namespace
}  // namespace safetylock
