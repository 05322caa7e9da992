#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>

#include "base/json.h"
#include "safetylock/transfer.h"

namespace safetylock {
namespace {

const TransferThresholds kThresholds;

Rate rate(std::int64_t count, double low) {
  return {.count = count, .n = 100, .value = 0.01 * static_cast<double>(count), .low = low, .high = 1};
}

/// What a lock's own base shows.
TransferEvidence ideal() {
  return {.cosine = 1,
          .cosine_low = 1,
          .own_numbers = 1,
          .sigma_change = 1,
          .kl = 0,
          .separation_base = rate(100, 0.96),
          .separation_tuned = rate(100, 0.96),
          .lock_cosine = 1,
          .lock_pairs = true};
}

TransferVerdict verdict_with(const std::function<void(TransferEvidence&)>& change) {
  TransferEvidence evidence = ideal();
  change(evidence);
  return judge_transfer(evidence, kThresholds).verdict;
}

TEST(TransferVerdict, EachFigureIsAskedForOnItsOwn) {
  constexpr auto pass = TransferVerdict::pass, warn = TransferVerdict::warn, refuse = TransferVerdict::refuse;
  using E = TransferEvidence;
  const TransferThresholds& t = kThresholds;
  const double tiny = 1e-6;
  EXPECT_EQ(verdict_with([](E&) {}), pass);
  EXPECT_EQ(verdict_with([&](E& e) { e.cosine_low = t.pass_cosine; }), pass);
  EXPECT_EQ(verdict_with([&](E& e) { e.cosine_low = t.pass_cosine - tiny; }), warn);
  EXPECT_EQ(verdict_with([&](E& e) { e.cosine = t.refuse_cosine - tiny; }), refuse);
  EXPECT_EQ(verdict_with([&](E& e) { e.own_numbers = t.pass_own_numbers - tiny; }), warn);
  EXPECT_EQ(verdict_with([&](E& e) { e.own_numbers = t.refuse_own_numbers - tiny; }), refuse);
  EXPECT_EQ(verdict_with([&](E& e) { e.sigma_change = t.pass_sigma_change + tiny; }), warn);
  EXPECT_EQ(verdict_with([&](E& e) { e.kl = t.pass_kl + tiny; }), warn);
  EXPECT_EQ(verdict_with([](E& e) { e.separation_base = rate(70, 0.6); }), warn);
  EXPECT_EQ(verdict_with([](E& e) { e.separation_base = rate(100, 0.5); }), refuse);
  EXPECT_EQ(verdict_with([](E& e) { e.separation_tuned = rate(70, 0.6); }), warn);
  EXPECT_EQ(verdict_with([](E& e) { e.separation_tuned = rate(55, 0.45); }), refuse);
  EXPECT_EQ(verdict_with([](E& e) { e.base_differs = {"weights"}; }), warn);
  EXPECT_EQ(verdict_with([&](E& e) { e.lock_cosine = t.lock_pairs_cosine - tiny; }), warn);
  EXPECT_EQ(verdict_with([&](E& e) {
              e.base_differs = {"weights"};
              e.lock_cosine = t.lock_pairs_cosine - tiny;
            }),
            refuse);
  EXPECT_EQ(verdict_with([&](E& e) {
              e.lock_pairs = false;
              e.lock_cosine = t.other_pairs_cosine;
            }),
            pass);
  EXPECT_EQ(verdict_with([](E& e) { e.tokenizer_differs = true; }), warn);
}

TEST(TransferVerdict, NotANumberNeverPasses) {
  const double nan = std::nan("");
  for (double TransferEvidence::*member :
       {&TransferEvidence::cosine, &TransferEvidence::cosine_low, &TransferEvidence::own_numbers,
        &TransferEvidence::sigma_change, &TransferEvidence::kl, &TransferEvidence::lock_cosine}) {
    EXPECT_NE(verdict_with([&](TransferEvidence& e) { e.*member = nan; }), TransferVerdict::pass);
  }
  EXPECT_EQ(verdict_with([](TransferEvidence& e) { e.sigma_change = HUGE_VAL; }), TransferVerdict::refuse);
}

TEST(TransferVerdict, TheGravestReasonComesFirst) {
  TransferEvidence e = ideal();
  e.kl = 100;
  e.separation_tuned = rate(50, 0.4);
  const TransferJudgement judgement = judge_transfer(e);
  ASSERT_EQ(judgement.reasons.size(), 2U);
  EXPECT_NE(judgement.reasons[0].find("50 of 100 questions"), std::string::npos) << judgement.reasons[0];
  EXPECT_NE(judgement.reasons[1].find("densities"), std::string::npos) << judgement.reasons[1];
}

// The study behind the thresholds: what it measured gets the verdict that is wanted, and what it derived is
// in force.
TEST(TransferVerdict, ThresholdsAndVerdictsAreThoseOfTheCalibration) {
  std::ifstream file(SAFETYLOCK_SOURCE_DIR "/docs/results/transfer-calibration.json");
  const Json study = Json::parse(file);
  const Json& t = study["thresholds"];
  EXPECT_EQ(t["pass_cosine"].get<double>(), kThresholds.pass_cosine);
  EXPECT_EQ(t["refuse_cosine"].get<double>(), kThresholds.refuse_cosine);
  EXPECT_EQ(t["pass_own_numbers"].get<double>(), kThresholds.pass_own_numbers);
  EXPECT_EQ(t["refuse_own_numbers"].get<double>(), kThresholds.refuse_own_numbers);
  EXPECT_EQ(t["pass_sigma_change"].get<double>(), kThresholds.pass_sigma_change);
  EXPECT_EQ(t["pass_kl"].get<double>(), kThresholds.pass_kl);
  EXPECT_EQ(t["pass_separation"].get<double>(), kThresholds.pass_separation);
  EXPECT_EQ(t["other_pairs_cosine"].get<double>(), kThresholds.other_pairs_cosine);
  const auto rate_of = [](const Json& r) {
    return Rate{.count = r["count"], .n = r["n"], .value = r["value"], .low = r["low"], .high = r["high"]};
  };
  ASSERT_GE(study["models"].size(), 12U);
  for (const Json& model : study["models"]) {
    const Json& e = model["evidence"];
    const TransferEvidence evidence{.cosine = e["cosine"],
                                    .cosine_low = e["cosine_low"],
                                    .own_numbers = e["own_numbers"],
                                    .sigma_change = e["sigma_change"],
                                    .kl = e["kl"],
                                    .separation_base = rate_of(e["separation_base"]),
                                    .separation_tuned = rate_of(e["separation_tuned"]),
                                    .lock_cosine = e["lock_cosine"],
                                    .lock_pairs = e["lock_pairs"],
                                    .base_differs = e["base_differs"],
                                    .tokenizer_differs = e["tokenizer_differs"]};
    const std::string verdict = to_string(judge_transfer(evidence).verdict);
    EXPECT_EQ(std::count(model["wanted"].begin(), model["wanted"].end(), verdict), 1)
        << model["name"] << ": " << verdict << ", wanted " << model["wanted"];
  }
}

}  // namespace
}  // namespace safetylock
