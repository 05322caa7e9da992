#include "analysis/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "analysis/generated_rows.h"

namespace safetylock {
namespace {

// Reference: scikit-learn.
TEST(Calibration, EqualsScikitLearn) {
  const nlohmann::json golden = test::probe_golden().at("calibration");
  const std::vector<double> margins = golden.at("margins"), expected = golden.at("log_odds");
  const std::vector<std::int64_t> labels = golden.at("labels");
  const Calibration calibration = calibrate(margins, labels);
  std::vector<double> log_odds;
  for (size_t i = 0; i < margins.size(); ++i) {
    log_odds.push_back(calibration.log_odds(margins[i]));
    EXPECT_NEAR(log_odds.back(), expected[i], 1e-6) << i;
  }
  EXPECT_NEAR(mean_log_loss(log_odds, labels), golden.at("log_loss").get<double>(), 1e-9);
}

std::ptrdiff_t reaching(const std::vector<double>& scores, double threshold) {
  return std::count_if(scores.begin(), scores.end(), [&](double s) { return s >= threshold; });
}

TEST(Threshold, IsTheLowestThatKeepsTheRate) {
  const std::vector<double> scores = {-3, 0.5, 2, -1, 1, 4, -2, 0, 3, -4};
  EXPECT_EQ(threshold_for(scores, 0.0), 4.5);  // above the highest by a margin
  EXPECT_EQ(threshold_for(scores, 0.1), 3.5);  // between 3 and 4
  EXPECT_EQ(threshold_for(scores, 0.19), 3.5);
  EXPECT_EQ(threshold_for(scores, 0.2), 2.5);
  for (const double rate : {0.0, 0.05, 0.1, 0.35, 0.5, 0.9})
    EXPECT_LE(reaching(scores, threshold_for(scores, rate)), static_cast<std::ptrdiff_t>(rate * 10)) << rate;
}

// A score that may not reach it keeps its equals out as well.
TEST(Threshold, TiesStayTogether) {
  const std::vector<double> scores = {1, 1, 1, 0, 0, 5};
  EXPECT_EQ(threshold_for(scores, 1.0 / 6), 3);
  EXPECT_EQ(threshold_for(scores, 3.0 / 6), 3);  // a fourth would bring its two equals
  EXPECT_EQ(threshold_for(scores, 4.0 / 6), 0.5);
  EXPECT_EQ(threshold_for({2, 2}, 0.5), 2.5);
}

}  // namespace
}  // namespace safetylock
