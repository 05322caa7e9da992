#include "model/kernels/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "model/kernels/cpu_linear.h"
#include "model/kernels/panel_product.h"

namespace safetylock {
namespace {

/// x W^T + bias in double.
at::Tensor exact_product(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  const at::Tensor product = at::mm(x.to(at::kDouble), w.to(at::kDouble).t());
  return bias.defined() ? product + bias.to(at::kDouble) : product;
}

class CpuLinear : public testing::TestWithParam<InstructionSet> {};

// Every number of rows of a tile, columns and depths that no tile divides, every dtype.
TEST_P(CpuLinear, EqualsTheProductInDoubleRoundedOnce) {
  at::manual_seed(5);
  for (const auto& [dtype, unit] :
       {std::pair{at::kFloat, 0x1p-23}, {at::kBFloat16, 0x1p-8}, {at::kHalf, 0x1p-11}}) {
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 13, 16, 28, 32, 45, 64, 150, 513}) {
      for (const auto& [in, out] : {std::pair{1, 1},
                                    {3, 5},
                                    {16, 4},
                                    {64, 9},
                                    {100, 300},
                                    {577, 31},
                                    {1040, 70},
                                    {96, 63},
                                    {1056, 48},
                                    {576, 100}}) {
        const at::Tensor x = at::randn({rows, in}).to(dtype), w = at::randn({out, in}).to(dtype);
        const at::Tensor bias = rows % 2 == 1 ? at::randn({out}).to(dtype) : at::Tensor();
        const at::Tensor expected = exact_product(x, w, bias);
        const at::Tensor y = cpu_linear_with(GetParam(), x, w, bias);
        ASSERT_EQ(y.scalar_type(), dtype);
        ASSERT_EQ(y.sizes(), expected.sizes());
        const at::Tensor error = (y.to(at::kDouble) - expected).abs();
        EXPECT_TRUE((error <= expected.abs() * unit + 1e-6 * in).all().item<bool>())
            << dtype << " " << rows << "x" << in << "x" << out;
      }
    }
  }
}

// A request must not feel which others are in its batch.
TEST_P(CpuLinear, ARowIsTheSameInEveryCompany) {
  at::manual_seed(6);
  const at::Tensor x = at::randn({600, 740}), w = at::randn({75, 740}), none;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const bool tiles = GetParam() == InstructionSet::amx && dtype == at::kBFloat16;
    // Too few for tiles or panels are summed in another order.
    for (const auto& [most, numbers] :
         {std::pair<std::int64_t, std::vector<std::int64_t>>{kPanelsFrom - 1, {1, 2, 5, 20}},
          {600, {kPanelsFrom, 79, 130}}}) {
      const at::Tensor all = cpu_linear_with(GetParam(), x.narrow(0, 0, most).to(dtype), w.to(dtype), none);
      for (const std::int64_t rows : numbers) {
        if (tiles && rows < 5) continue;
        for (std::int64_t first = 0; first + rows <= most; first += std::max<std::int64_t>(3, most / 10)) {
          const at::Tensor some =
              cpu_linear_with(GetParam(), x.narrow(0, first, rows).to(dtype), w.to(dtype), none);
          EXPECT_TRUE(at::equal(some, all.narrow(0, first, rows))) << dtype << " " << first << " " << rows;
        }
      }
    }
  }
}

// Threads have rows of their own, and take columns of others' when they are done.
TEST_P(CpuLinear, IsTheSameOnAnyNumberOfThreads) {
  at::manual_seed(7);
  const int threads = at::get_num_threads();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({523, 740}).to(dtype), w = at::randn({175, 740}).to(dtype);
    at::set_num_threads(1);
    const at::Tensor want = cpu_linear_with(GetParam(), x, w, {});
    for (const int many : {2, 3, 5}) {
      at::set_num_threads(many);
      EXPECT_TRUE(at::equal(cpu_linear_with(GetParam(), x, w, {}), want)) << dtype << " " << many;
    }
    at::set_num_threads(threads);
  }
}

TEST_P(CpuLinear, CarriesWhatIsNotANumber) {
  const double inf = std::numeric_limits<double>::infinity();
  const at::Tensor x = at::tensor({1.0, inf, std::nan(""), -inf}).unsqueeze(1).to(at::kBFloat16);
  const at::Tensor y = cpu_linear_with(GetParam(), x, at::ones({4, 1}, at::kBFloat16), {}).to(at::kFloat);
  EXPECT_TRUE(at::equal(y.nan_to_num(7.0F, 8.0F, 9.0F),
                        at::tensor({1.0F, 8.0F, 7.0F, 9.0F}).unsqueeze(1).expand({4, 4})));
  // As wide and as many as tiles need.
  at::Tensor many = at::zeros({20, 32}, at::kBFloat16);
  many.narrow(0, 3, 4).narrow(1, 7, 1).copy_(x);
  const at::Tensor z =
      cpu_linear_with(GetParam(), many, at::ones({17, 32}, at::kBFloat16), {}).to(at::kFloat);
  EXPECT_TRUE(at::equal(z.narrow(0, 3, 4).nan_to_num(7.0F, 8.0F, 9.0F),
                        at::tensor({1.0F, 8.0F, 7.0F, 9.0F}).unsqueeze(1).expand({4, 17})));
  EXPECT_EQ(z.narrow(0, 7, 13).abs().max().item<float>(), 0);
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, CpuLinear, testing::ValuesIn(host_instruction_sets()),
                         [](const auto& instance) { return std::string(name_of(instance.param)); });

// Columns that fill tiles and that do not, rows that do not fill one and that do.
TEST(Linear, OfANormIsThatOfItsRows) {
  at::manual_seed(8);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t out : {96, 100}) {
      for (const bool offset : {false, true}) {
        for (const std::int64_t rows : {1, 7, 40, 700}) {
          const at::Tensor x = at::randn({rows, 576}).to(dtype), weight = at::randn({576}).to(dtype);
          const at::Tensor w = at::randn({out, 576}).to(dtype), bias = at::randn({out}).to(dtype);
          const NormRule rule{.eps = 1e-5, .unit_offset = offset};
          EXPECT_TRUE(at::equal(apply_linear_to_norm(x, {.weight = weight, .rule = rule}, w, bias),
                                apply_linear(rms_norm(x, weight, rule), w, bias)))
              << dtype << " " << out << " " << rows;
        }
      }
    }
  }
}

// More rows than are multiplied at once, and both sides of where libtorch's product takes over.
TEST(Linear, EqualsTheProductInDoubleWhateverTheNumberOfRows) {
  at::manual_seed(4);
  for (const auto& [dtype, unit] :
       {std::pair{at::kFloat, 0x1p-23}, {at::kBFloat16, 0x1p-8}, {at::kHalf, 0x1p-11}}) {
    const at::Tensor w = at::randn({100, 64}).to(dtype), bias = at::randn({100}).to(dtype);
    for (const std::int64_t rows : {1, 63, 64, 95, 96, 191, 192, 600}) {
      const at::Tensor x = at::randn({rows, 64}).to(dtype), y = apply_linear(x, w, bias);
      const at::Tensor expected = exact_product(x, w, bias), error = (y.to(at::kDouble) - expected).abs();
      ASSERT_EQ(y.scalar_type(), dtype);
      EXPECT_TRUE((error <= expected.abs() * (2 * unit) + 2e-4).all().item<bool>()) << dtype << " " << rows;
    }
  }
}

}  // namespace
}  // namespace safetylock
