#include "analysis/density.h"

#include <gtest/gtest.h>

#include <cmath>

#include "analysis/transfer_golden.h"

namespace safetylock {
namespace {

TEST(Density, MassesAndDivergenceEqualScipy) {
  const nlohmann::json golden = test::transfer_golden()["density"];
  const auto integers = [&](size_t i) {
    return at::tensor(test::generated_integers(golden["seeds"][i], golden["counts"][i]), at::kDouble);
  };
  const at::Tensor a = integers(0) * 0x1p-15, b = integers(1) * 0x1p-14 + 0.5;
  EXPECT_NEAR(scott_bandwidth(a), golden["bandwidths"][0].get<double>(), 1e-12);
  EXPECT_NEAR(scott_bandwidth(b), golden["bandwidths"][1].get<double>(), 1e-12);
  const DensityGrid grid{.from = golden["from"], .to = golden["to"], .cells = golden["cells"]};
  const at::Tensor p = kernel_masses(a, scott_bandwidth(a), grid).sum(0);
  const at::Tensor q = kernel_masses(b, scott_bandwidth(b), grid).sum(0);
  EXPECT_TRUE(at::allclose(p, test::doubles_of(golden["masses"]), 1e-10, 1e-12));
  EXPECT_NEAR(smoothed_divergence(p, q).item<double>(), golden["divergence"].get<double>(), 1e-10);
}

TEST(Density, EverythingInsideTheGridSumsToOne) {
  const at::Tensor x = at::tensor({-1.0, 0.0, 2.5}, at::kDouble);
  const at::Tensor masses = kernel_masses(x, 0.3, {.from = -4, .to = 6, .cells = 50});
  EXPECT_TRUE(at::allclose(masses.sum(1), at::ones({3}, at::kDouble), 0, 1e-12));
  // Equal samples have no bandwidth of their own: all in the cell that holds them.
  const at::Tensor point = at::full({4}, 0.05, at::kDouble);
  EXPECT_EQ(scott_bandwidth(point), 0);
  EXPECT_NEAR(kernel_masses(point, 0, {.from = 0, .to = 1, .cells = 10})[0][0].item<double>(), 1, 1e-5);
}

TEST(Density, DivergenceIsZeroOfEqualsAndBoundedOfStrangers) {
  at::Tensor p = at::zeros({64}, at::kDouble), q = p.clone();
  p[3] = 5;
  q[60] = 2;
  EXPECT_EQ(smoothed_divergence(p, p).item<double>(), 0);
  EXPECT_NEAR(smoothed_divergence(p, 7 * p).item<double>(), 0, 1e-12) << "masses need not sum to 1";
  EXPECT_GT(smoothed_divergence(p, q).item<double>(), 10);
  EXPECT_LT(smoothed_divergence(p, q).item<double>(), std::log(64e3));
}

}  // namespace
}  // namespace safetylock
