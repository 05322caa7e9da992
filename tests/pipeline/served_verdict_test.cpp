// Planted answers: what a model would give at a share of the lock's strength, with and without noise.
#include "pipeline/served_verdict.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace safetylock {
namespace {

const std::vector<double> kShares = {-1, 0, 0.5, 1, 2};

/// Log-probabilities that bend with the lock, as a model's do; `size` scales what the lock moves.
struct Planted {
  double size = 1;
  double bend = 0.3;
  size_t count = 200;

  double at(size_t i, double share) const {
    const double x = std::sin(3.7 * static_cast<double>(i) + 1);
    return -4 + 2 * std::cos(static_cast<double>(i)) + size * (share * x + bend * share * share * x * x);
  }
  std::vector<ServedValue> values(double share, double noise,
                                  const std::vector<double>& shares = kShares) const {
    std::mt19937 random(7);
    std::normal_distribution<double> normal(0, 1);
    std::vector<ServedValue> out;
    for (size_t i = 0; i < count; ++i) {
      ServedValue value{{}, at(i, share) + noise * normal(random)};
      for (const double s : shares) value.expected.push_back(at(i, s));
      out.push_back(std::move(value));
    }
    return out;
  }
};

TEST(ServedVerdict, FindsTheShare) {
  for (const double noise : {0.0, 1e-5, 3e-3, 0.02}) {
    for (const double share : kShares) {
      const ServedVerdict v = judge_served(kShares, Planted().values(share, noise));
      EXPECT_EQ(v.verdict, share == 1 ? LockVerdict::locked : LockVerdict::not_locked)
          << share << " " << noise;
      EXPECT_NEAR(v.share, share, 0.02 + noise) << noise;
      EXPECT_EQ(v.values, 200U);
      EXPECT_NEAR(v.unexplained, noise, 0.01 * noise + 5e-3);
    }
  }
}

TEST(ServedVerdict, SaysWhichKindOfNotLocked) {
  const auto reason = [](double share) {
    return judge_served(kShares, Planted().values(share, 1e-4)).reason;
  };
  EXPECT_NE(reason(0).find("dropped"), std::string::npos);
  EXPECT_NE(reason(0.5).find("0.5 times"), std::string::npos) << reason(0.5);
  EXPECT_NE(reason(-1).find("-1 times"), std::string::npos) << reason(-1);
  EXPECT_NE(reason(2).find("2 times"), std::string::npos) << reason(2);
}

TEST(ServedVerdict, AnotherModelIsNotLocked) {
  auto values = Planted().values(1, 0);
  std::mt19937 random(3);
  std::normal_distribution<double> normal(0, 1);
  for (ServedValue& value : values) value.observed += normal(random);
  const ServedVerdict v = judge_served(kShares, values);
  EXPECT_EQ(v.verdict, LockVerdict::not_locked);
  EXPECT_NE(v.reason.find("neither"), std::string::npos);
}

TEST(ServedVerdict, WhatNoiseHidesCannotBeTold) {
  for (const double share : {0.0, 1.0}) {
    EXPECT_EQ(judge_served(kShares, Planted{.size = 1e-3}.values(share, 0)).verdict,
              LockVerdict::cannot_tell);
    EXPECT_EQ(judge_served(kShares, Planted{.size = 0.02}.values(share, 0.03)).verdict,
              LockVerdict::cannot_tell);
  }
  EXPECT_EQ(judge_served(kShares, {}).verdict, LockVerdict::cannot_tell);
}

TEST(ServedVerdict, TwoSharesAreEnoughToTellLockedAndDropped) {
  const std::vector<double> two = {0, 1};
  const auto state = [&](double share) {
    return judge_served(two, Planted().values(share, 3e-3, two)).verdict;
  };
  EXPECT_EQ(state(1), LockVerdict::locked);
  for (const double share : {0.0, 0.5, 2.0, -1.0}) EXPECT_EQ(state(share), LockVerdict::not_locked) << share;
}

}  // namespace
}  // namespace safetylock
