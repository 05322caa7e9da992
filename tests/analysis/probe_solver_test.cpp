#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "analysis/batched_probes.h"
#include "analysis/generated_rows.h"
#include "analysis/statistics.h"
#include "safetylock/probes.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::generated_rows;

std::vector<double> margins_of(const Probe& probe, const at::Tensor& rows) {
  std::vector<double> out;
  const at::Tensor local = rows.to(at::kDouble).contiguous();
  for (std::int64_t i = 0; i < local.size(0); ++i) {
    double z = probe.intercept;
    for (std::int64_t j = 0; j < local.size(1); ++j) {
      z += probe.weights[static_cast<size_t>(j)] * local.const_data_ptr<double>()[i * local.size(1) + j];
    }
    out.push_back(z);
  }
  return out;
}

double naive_objective(const Probe& probe, const std::vector<double>& margins,
                       const std::vector<std::int64_t>& labels) {
  double f = 0;
  for (size_t i = 0; i < margins.size(); ++i) {
    const double s = labels[i] == 1 ? margins[i] : -margins[i];
    f += s > 0 ? std::log1p(std::exp(-s)) : std::log1p(std::exp(s)) - s;
  }
  for (const double w : probe.weights) f += 0.5 * w * w;
  return f;
}

/// What `train(values, labels)` finds for every golden set, against scikit-learn's minimum. `check(probe,
/// margins, classes, expected)` sees each head.
template <typename Train, typename Check>
void expect_optimum_of_scikit_learn(const Train& train, const Check& check) {
  const nlohmann::json golden = test::probe_golden();
  int heads = 0;
  for (const nlohmann::json& set : golden["probes"]) {
    SCOPED_TRACE(set["kind"].get<std::string>() + " seed " + std::to_string(set["seed"].get<int>()));
    const auto [values, labels] =
        generated_rows(set["kind"], set["seed"], set["n"], set["heads"], set["dim"], set["shift"]);
    const std::vector<std::int64_t> classes(labels.template const_data_ptr<std::int64_t>(),
                                            labels.template const_data_ptr<std::int64_t>() + labels.numel());
    const std::vector<Probe> probes = train(values, labels);
    ASSERT_EQ(probes.size(), set["results"].size());
    for (size_t h = 0; h < probes.size(); ++h, ++heads) {
      SCOPED_TRACE("head " + std::to_string(h));
      const nlohmann::json& expected = set["results"][h];
      ASSERT_EQ(probes[h].weights.size(), set["dim"].get<size_t>());
      const std::vector<double> margins =
          margins_of(probes[h], values.select(1, static_cast<std::int64_t>(h)));
      const double objective = naive_objective(probes[h], margins, classes);
      EXPECT_NEAR(objective / expected["objective"].get<double>(), 1.0, 1e-6);
      EXPECT_NEAR(probes[h].objective / objective, 1.0, 1e-9)
          << "the objective it reports is not that of its weights";
      check(probes[h], margins, classes, expected);
    }
  }
  EXPECT_EQ(heads, 45);
}

TEST(ProbeSolver, ReachesTheOptimumOfScikitLearnOnWellAndBadlyConditionedRows) {
  expect_optimum_of_scikit_learn(
      [](const at::Tensor& values, const at::Tensor& labels) { return train_probes(values, labels); },
      [](const Probe& probe, const std::vector<double>& margins, const std::vector<std::int64_t>& classes,
         const nlohmann::json& expected) {
        std::int64_t correct = 0;
        for (size_t i = 0; i < margins.size(); ++i) correct += (margins[i] > 0) == (classes[i] == 1);
        EXPECT_LE(std::abs(correct - expected["correct"].get<std::int64_t>()),
                  expected["undecided"].get<std::int64_t>());
        EXPECT_NEAR(area_under_roc(margins, classes), expected["auc"].get<double>(), 1e-12);
        EXPECT_LT(probe.iterations, 100);
      });
}

// What a GPU does, here on the CPU: the same minimum, for heads that need few steps and for ones that need
// many.
TEST(ProbeSolver, AllHeadsTogetherReachTheOptimumOfScikitLearn) {
  expect_optimum_of_scikit_learn(
      [](const at::Tensor& values, const at::Tensor& labels) {
        return train_probes_together(values, labels.to(at::kDouble), {});
      },
      [](const Probe& probe, const auto&, const auto&, const auto&) {
        EXPECT_LT(probe.iterations, 40);
        EXPECT_GT(probe.iterations, 1);
      });
}

TEST(ProbeSolver, GradientVanishesAtTheOptimum) {
  const auto [values, labels] = generated_rows("chain", 77, 200, 1, 24, 2000);
  const Probe probe = train_probes(values, labels).front();
  const std::vector<double> margins = margins_of(probe, values.select(1, 0));
  at::Tensor residual = at::sigmoid(at::tensor(margins, at::kDouble)) - labels;
  const at::Tensor gradient =
      at::mv(values.select(1, 0).t(), residual) + at::tensor(probe.weights, at::kDouble);
  EXPECT_LT(gradient.abs().max().item<double>(), 200 * 1e-8);
  EXPECT_LT(residual.sum().abs().item<double>(), 200 * 1e-8);
}

TEST(ProbeSolver, StrongerRegularisationGivesSmallerWeights) {
  const auto [values, labels] = generated_rows("plain", 78, 200, 1, 16, 5000);
  const auto norm = [&](double C) {
    return at::tensor(train_probes(values, labels, {.C = C}).front().weights).norm().item<double>();
  };
  EXPECT_LT(norm(1e-3), norm(1.0));
  EXPECT_LT(norm(1.0), norm(1e3));
}

TEST(ProbeSolver, SameBitsWithOneAndWithTwoThreads) {
  const auto [values, labels] = generated_rows("plain", 79, 120, 17, 32, 3000);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const std::vector<Probe> one = train_probes(values, labels);
  at::set_num_threads(2);
  const std::vector<Probe> two = train_probes(values, labels);
  at::set_num_threads(before);
  for (size_t h = 0; h < one.size(); ++h) {
    EXPECT_EQ(one[h].weights, two[h].weights);
    EXPECT_EQ(one[h].intercept, two[h].intercept);
    EXPECT_EQ(one[h].objective, two[h].objective);
  }
}

TEST(ProbeSolver, AllFloatTypesAreWidenedExactly) {
  auto [values, labels] = generated_rows("plain", 80, 60, 2, 9, 5000);
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const at::Tensor narrow = values.to(type);
    const std::vector<Probe> from_narrow = train_probes(narrow, labels);
    const std::vector<Probe> from_wide = train_probes(narrow.to(at::kDouble), labels);
    for (size_t h = 0; h < from_narrow.size(); ++h) EXPECT_EQ(from_narrow[h].weights, from_wide[h].weights);
  }
}

TEST(ProbeSolver, RefusesWhatCannotBeTrainedOn) {
  const auto [values, labels] = generated_rows("plain", 81, 20, 2, 4, 0);
  EXPECT_EQ(code_of([&] { train_probes(values, at::ones({20}, at::kLong)); }), "data.single_class");
  EXPECT_EQ(code_of([&] { train_probes(values, at::zeros({20}, at::kLong)); }), "data.single_class");
  EXPECT_EQ(code_of([&] { train_probes(values, labels * 2); }), "arg.range");
  EXPECT_EQ(code_of([&] { train_probes(values, labels.slice(0, 1)); }), "arg.shape");
  EXPECT_EQ(code_of([&] { train_probes(values, labels.to(at::kDouble)); }), "arg.dtype");
  EXPECT_EQ(code_of([&] { train_probes(values.select(1, 0), labels); }), "arg.shape");
  EXPECT_EQ(code_of([&] { train_probes(values.to(at::kLong), labels); }), "arg.dtype");
  EXPECT_EQ(code_of([&] { train_probes(values, labels, {.C = 0}); }), "arg.range");
  EXPECT_EQ(code_of([&] { train_probes(values, labels, {.max_iterations = 0}); }), "arg.range");
  EXPECT_EQ(code_of([&] { train_probes(values, labels, {.gradient_tolerance = std::nan("")}); }),
            "arg.range");
  for (const double bad : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    at::Tensor broken = values.clone();
    broken[13][1][2] = bad;
    const auto error = test::error_of([&] { train_probes(broken, labels); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, "num.nonfinite");
    EXPECT_EQ(error->where, "head 1, row 13");
  }
}

}  // namespace
}  // namespace safetylock
