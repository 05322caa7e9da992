#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "analysis/generated_rows.h"
#include "safetylock/probes.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::generated_rows;

TEST(Directions, EqualNumpy) {
  const nlohmann::json golden = test::probe_golden()["directions"];
  const auto [values, labels] =
      generated_rows("offset", golden["seed"], golden["n"], golden["heads"], golden["dim"], golden["shift"]);
  const std::int64_t heads = golden["heads"];
  std::vector<HeadId> ids;
  for (std::int64_t h = heads; h-- > 0;) ids.push_back({h, 0});  // layers of one head, in another order
  const std::vector<MeanDifference> found = mean_difference_directions(values.unsqueeze(2), labels, ids);
  ASSERT_EQ(found.size(), ids.size());
  for (const MeanDifference& d : found) {
    const nlohmann::json& expected = golden["results"][static_cast<size_t>(d.id.layer)];
    EXPECT_NEAR(d.gap / expected["gap"].get<double>(), 1, 1e-12);
    EXPECT_NEAR(d.sigma / expected["sigma"].get<double>(), 1, 1e-12);
    ASSERT_EQ(d.direction.size(), expected["direction"].size());
    double squares = 0;
    for (size_t j = 0; j < d.direction.size(); ++j) {
      EXPECT_NEAR(d.direction[j], expected["direction"][j].get<double>(), 1e-12);
      squares += d.direction[j] * d.direction[j];
    }
    EXPECT_NEAR(squares, 1, 1e-14);
  }
}

TEST(Directions, OfProbesEqualScikitLearn) {
  const nlohmann::json golden = test::probe_golden()["directions"];
  const auto [values, labels] =
      generated_rows("offset", golden["seed"], golden["n"], golden["heads"], golden["dim"], golden["shift"]);
  const std::vector<ProbeDirection> found =
      probe_weight_directions(values.unsqueeze(2), labels, {{2, 0}, {0, 0}, {1, 0}});
  ASSERT_EQ(found.size(), 3U);
  for (const ProbeDirection& d : found) {
    const nlohmann::json& expected = golden["results"][static_cast<size_t>(d.id.layer)];
    EXPECT_NEAR(d.sigma / expected["probe_sigma"].get<double>(), 1, 1e-5);
    ASSERT_EQ(d.direction.size(), 24U);
    for (size_t j = 0; j < 24; ++j)
      EXPECT_NEAR(d.direction[j], expected["probe_direction"][j].get<double>(), 1e-5) << j;
  }
  EXPECT_EQ(code_of([&, v = values, y = labels] {
              probe_weight_directions(at::ones_like(v).unsqueeze(2), y, {{0, 0}});
            }),
            "probe.degenerate");
  EXPECT_EQ(code_of([&, v = values, y = labels] {
              probe_weight_directions(v.unsqueeze(2), y, {{3, 0}});
            }),
            "arg.range");
}

TEST(Directions, PointFromUnsafeToSafe) {
  const at::Tensor values =
      at::tensor({3.0, 1.0, 0.0, 1.0, 3.5, 1.0, -0.5, 1.0}, at::kFloat).view({4, 1, 1, 2});
  const MeanDifference d =
      mean_difference_directions(values, at::tensor({1, 0, 1, 0}, at::kLong), {{0, 0}}).front();
  EXPECT_EQ(d.direction, (std::vector<double>{1.0, 0.0}));
  EXPECT_EQ(d.gap, 3.5);
}

TEST(Directions, RefuseHeadsThatCannotBeLocked) {
  auto [values, labels] = generated_rows("plain", 90, 20, 2, 4, 0);
  values = values.unsqueeze(1).clone();  // [20, 1, 2, 4]
  values.select(2, 1).fill_(0.25);
  const auto error = test::error_of([&] { mean_difference_directions(values, labels, {{0, 0}, {0, 1}}); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "probe.degenerate");
  EXPECT_NE(error->where.find("layer 0, head 1"), std::string::npos);
  for (const HeadId id : {HeadId{1, 0}, HeadId{-1, 0}, HeadId{0, 2}, HeadId{0, -1}}) {
    EXPECT_EQ(code_of([&] { mean_difference_directions(values, labels, {id}); }), "arg.range");
  }
  EXPECT_EQ(code_of([&] {
              mean_difference_directions(values, at::ones({20}, at::kLong), {{0, 0}});
            }),
            "data.single_class");
  EXPECT_EQ(code_of([&] { mean_difference_directions(values.select(1, 0), labels, {{0, 0}}); }), "arg.shape");
}

}  // namespace
}  // namespace safetylock
