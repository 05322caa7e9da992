#include "analysis/block_regression.h"

#include <gtest/gtest.h>

#include <numeric>

#include "analysis/generated_rows.h"

namespace safetylock {
namespace {

// Reference: scikit-learn on all features at once.
TEST(BlockRegression, MarginsAndWeightsEqualScikitLearn) {
  const nlohmann::json golden = test::probe_golden().at("joint_regression");
  const std::int64_t n = golden.at("n"), heads = golden.at("heads"), trained = golden.at("trained");
  const test::GeneratedRows rows =
      test::generated_rows("offset", golden.at("seed"), n, heads, golden.at("dim"), golden.at("shift"));
  const HeadValues values(rows.values, "test");
  const std::vector<std::int64_t> labels = checked_labels(rows.labels, n, "test");
  const std::vector<std::int64_t> all = all_rows(n);
  BlockRegression regression(values, labels, {all.begin(), all.begin() + trained},
                             {all.begin() + trained, all.end()});
  for (std::int64_t block = 0; block < heads; ++block) regression.add(block);
  std::vector<double> Cs;
  for (const auto& result : golden.at("results")) Cs.push_back(result.at("C"));
  const std::vector<BlockRegression::Solution> solutions = regression.solve(Cs);
  ASSERT_EQ(solutions.size(), Cs.size());
  for (size_t c = 0; c < Cs.size(); ++c) {
    const auto& expected = golden.at("results")[c];
    const std::vector<double> judged = expected.at("judged");
    for (size_t i = 0; i < judged.size(); ++i) EXPECT_NEAR(solutions[c].margins[i], judged[i], 1e-6) << i;
    const BlockWeights weights = regression.weights(solutions[c]);
    for (std::int64_t i = 0; i < n; ++i) {
      double margin = weights.intercept;
      for (std::int64_t block = 0; block < heads; ++block) {
        const at::Tensor x = rows.values[i][block].contiguous();
        const std::vector<double>& w = weights.weights[static_cast<size_t>(block)];
        margin = std::inner_product(w.begin(), w.end(), x.const_data_ptr<double>(), margin);
      }
      EXPECT_NEAR(margin, expected.at("all")[static_cast<size_t>(i)].get<double>(), 1e-6) << i;
    }
  }
}

TEST(BlockRegression, AConstantBlockGetsNoWeight) {
  const test::GeneratedRows rows = test::generated_rows("plain", 3, 40, 2, 8, 3000);
  rows.values.select(1, 1).fill_(0.5);
  const HeadValues values(rows.values, "test");
  const std::vector<std::int64_t> labels = checked_labels(rows.labels, 40, "test");
  BlockRegression regression(values, labels, all_rows(40), {});
  regression.add(0);
  regression.add(1);
  const BlockWeights weights = regression.weights(regression.solve(std::vector{1.0}).front());
  EXPECT_NE(weights.weights[0], std::vector<double>(8, 0.0));
  EXPECT_EQ(weights.weights[1], std::vector<double>(8, 0.0));
}

TEST(BlockRegression, RowsThatAreAllAlikeGetMarginsOfZero) {
  const test::GeneratedRows rows = test::generated_rows("plain", 3, 40, 2, 8, 3000);
  rows.values.fill_(0.25);
  const HeadValues values(rows.values, "test");
  const std::vector<std::int64_t> labels = checked_labels(rows.labels, 40, "test"), all = all_rows(40);
  BlockRegression regression(values, labels, {all.begin(), all.begin() + 30}, {all.begin() + 30, all.end()});
  regression.add(0);
  regression.add(1);
  EXPECT_EQ(regression.solve(std::vector{1.0}).front().margins, std::vector<double>(10, 0.0));
}

}  // namespace
}  // namespace safetylock
