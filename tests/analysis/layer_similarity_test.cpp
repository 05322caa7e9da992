#include "analysis/layer_similarity.h"

#include <gtest/gtest.h>

#include "analysis/transfer_golden.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::doubles_of;
using test::matrix_of;

struct Side {
  QuestionRows rows;
  LayerSide layer;
};

class GoldenLayer : public testing::Test {
 protected:
  const nlohmann::json golden = test::transfer_golden()["layer"];
  const std::int64_t heads = golden["heads"], dim = golden["dim"];

  at::Tensor values(size_t side) const {
    return test::transfer_rows(golden["seeds"][side], test::integers_of(golden["labels"][side]), heads, dim);
  }
  Side side(size_t i) const {
    Side out{
        .rows = question_rows(test::integers_of(golden["labels"][i]), test::integers_of(golden["groups"][i])),
        .layer = {}};
    const at::Tensor references =
        test::transfer_rows(golden["seeds"][2], at::ones({1}, at::kLong), heads, dim)[0];
    out.layer = {.profile = profile_layer(values(i), out.rows),
                 .projections = project_rows(values(i), references)};
    return out;
  }
};

void expect_near(const at::Tensor& found, const at::Tensor& expected, const char* what) {
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  EXPECT_LT((found - expected).abs().max().item<double>(), 1e-10) << what;
}

TEST_F(GoldenLayer, ProfileEqualsNumpy) {
  const Side base = side(0);
  expect_near(base.layer.profile.directions, matrix_of(golden["directions"]), "directions");
  expect_near(base.layer.profile.sigmas, doubles_of(golden["sigmas"]), "sigmas");
  expect_near(held_out_gaps(base.layer.profile, base.rows), matrix_of(golden["held_out_gaps"]), "gaps");
}

TEST_F(GoldenLayer, SimilarityAndItsResamplesEqualNumpyAndScipy) {
  const Side base = side(0), tuned = side(1);
  const nlohmann::json& draws = golden["resamples"];
  std::vector<at::Tensor> times;
  for (const nlohmann::json& draw : draws) times.push_back(doubles_of(draw["times"]));
  const LayerSimilarity found =
      compare_layers(base.layer, base.rows, tuned.layer, tuned.rows, at::stack(times));
  expect_near(found.cosines, matrix_of(golden["cosines"]), "cosines");
  // The first resample draws each question once: it is the whole.
  expect_near(found.sigma_ratios, doubles_of(draws[0]["sigma_ratios"]), "sigma ratios");
  expect_near(found.divergences, doubles_of(draws[0]["divergences"]), "divergences");
  for (size_t b = 0; b < draws.size(); ++b) {
    const auto at = static_cast<std::int64_t>(b);
    expect_near(found.cosine_resamples[at], doubles_of(draws[b]["cosines"]), "cosine resamples");
    expect_near(found.sigma_ratio_resamples[at], doubles_of(draws[b]["sigma_ratios"]), "ratio resamples");
    expect_near(found.divergence_resamples[at], doubles_of(draws[b]["divergences"]), "KL resamples");
  }
}

TEST_F(GoldenLayer, AModelIsItsOwnEqual) {
  const Side base = side(0);
  const at::Tensor draw = at::tensor({2.0, 0.0, 1.0, 3.0, 0.0, 0.0, 1.0, 1.0}, at::kDouble).unsqueeze(0);
  const LayerSimilarity found = compare_layers(base.layer, base.rows, base.layer, base.rows, draw);
  const at::Tensor ones = at::ones({heads}, at::kDouble), zeros = at::zeros({heads}, at::kDouble);
  expect_near(found.cosines.diagonal(), ones, "cosines");
  expect_near(found.sigma_ratios, ones, "sigma ratios");
  expect_near(found.divergences, zeros, "divergences");
  expect_near(found.cosine_resamples[0], ones, "cosine resamples");
  expect_near(found.divergence_resamples[0], zeros, "KL resamples");
}

TEST_F(GoldenLayer, PlantedScaleTurnAndPermutation) {
  const Side base = side(0);
  // Head 0 three times as large, head 1 with dimensions 2k, 2k + 1 turned by 60 degrees, head 2 the other
  // way.
  at::Tensor changed = values(0).clone();
  changed.select(1, 0).mul_(3);
  const at::Tensor pairs = values(0).select(1, 1).view({-1, dim / 2, 2});
  const at::Tensor x = pairs.select(2, 0), y = pairs.select(2, 1);
  const double c = 0.5, s = std::sqrt(0.75);
  changed.select(1, 1).copy_(at::stack({c * x - s * y, s * x + c * y}, 2).flatten(1));
  changed.select(1, 2).neg_();
  const LayerSide tuned{.profile = profile_layer(changed, base.rows), .projections = base.layer.projections};
  const at::Tensor once = at::ones({1, base.rows.questions}, at::kDouble);
  const LayerSimilarity found = compare_layers(base.layer, base.rows, tuned, base.rows, once);
  expect_near(found.cosines.diagonal(), at::tensor({1.0, 0.5, -1.0}, at::kDouble), "cosines");
  expect_near(found.sigma_ratios, at::tensor({3.0, 1.0, 1.0}, at::kDouble), "sigma ratios");

  const at::Tensor order = at::tensor({2, 0, 1}, at::kLong);
  const LayerSide permuted{.profile = profile_layer(values(0).index_select(1, order), base.rows),
                           .projections = base.layer.projections};
  const at::Tensor nearest =
      compare_layers(base.layer, base.rows, permuted, base.rows, once).cosines.argmax(1);
  EXPECT_TRUE(at::equal(nearest, at::tensor({1, 2, 0}, at::kLong)));
}

// Without a planted direction the held-out gaps lie about zero; with one, above.
TEST(HeldOutGaps, ShuffledClassesGiveNone) {
  const std::int64_t questions = 200, heads = 2, dim = 32;
  const at::Tensor labels = 1 - at::arange(2 * questions, at::kLong) % 2;
  const at::Tensor groups = at::arange(2 * questions, at::kLong).div(2, "floor");
  at::Tensor z = at::tensor(test::generated_integers(80, 2 * questions * heads * dim), at::kDouble)
                     .view({2 * questions, heads, dim}) *
                 0x1p-15;
  z.select(1, 1).select(1, 5).add_(3 * (2 * labels - 1));
  const QuestionRows rows = question_rows(labels, groups);
  const at::Tensor above = (held_out_gaps(profile_layer(z, rows), rows) > 0).sum(0);
  EXPECT_NEAR(above[0].item<double>(), 100, 25);
  EXPECT_GT(above[1].item<double>(), 195);
}

TEST(LayerProfile, AHeadThatSaysTheSameOnEveryRowHasNoDirection) {
  const at::Tensor labels = 1 - at::arange(8, at::kLong) % 2;
  const QuestionRows rows = question_rows(labels, at::arange(8, at::kLong).div(2, "floor"));
  at::Tensor values = at::tensor(test::generated_integers(81, 8 * 2 * 4), at::kDouble).view({8, 2, 4});
  values.select(1, 1).fill_(0.25);
  const LayerProfile profile = profile_layer(values.to(at::kFloat), rows);
  EXPECT_EQ(profile.directions[1].abs().sum().item<double>(), 0);
  EXPECT_EQ(held_out_gaps(profile, rows).select(1, 1).abs().sum().item<double>(), 0);
  const LayerSide side{.profile = profile, .projections = project_rows(values, profile.directions)};
  const LayerSimilarity found = compare_layers(side, rows, side, rows, at::ones({1, 4}, at::kDouble));
  EXPECT_NEAR(found.cosines[0][0].item<double>(), 1, 1e-12);
  EXPECT_EQ(found.cosines[1][1].item<double>(), 0);
  EXPECT_EQ(found.sigma_ratios[1].item<double>(), 0);
  EXPECT_EQ(found.cosine_resamples[0][1].item<double>(), 0);
  EXPECT_EQ(found.divergences[1].item<double>(), 0);
}

TEST(QuestionRows, RefuseWhatCannotBeResampled) {
  const auto code = [](std::vector<std::int64_t> labels, std::vector<std::int64_t> groups) {
    return code_of([&] { question_rows(at::tensor(labels, at::kLong), at::tensor(groups, at::kLong)); });
  };
  EXPECT_EQ(code({1, 0, 1, 0, 1, 0, 1, 0}, {0, 0, 1, 1, 2, 2, 3, 3}), "no error");
  EXPECT_EQ(code({1, 0, 1, 0, 1, 0}, {0, 0, 1, 1, 2, 2}), "data.too_few");
  EXPECT_EQ(code({1, 0, 1, 0, 1, 0, 1, 1}, {0, 0, 1, 1, 2, 2, 3, 3}), "data.single_class");
  EXPECT_EQ(code({1, 0, 1, 2, 1, 0, 1, 0}, {0, 0, 1, 1, 2, 2, 3, 3}), "arg.range");
  EXPECT_EQ(code({1, 0, 1, 0, 1, 0, 1, 0}, {0, 0, 1, 1}), "arg.shape");
}

}  // namespace
}  // namespace safetylock
