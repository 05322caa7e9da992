#include "model/kernels/linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace safetylock {
namespace {

// Against the product in double: an error beyond one rounding to bfloat16 would be the kernel's own.
TEST(WidenedLinear, EqualsTheProductInDoubleRoundedOnce) {
  at::manual_seed(3);
  struct Case {
    std::int64_t rows, in, out;
    bool bias;
  };
  for (const Case c : {Case{1, 3, 1, false}, Case{97, 64, 511, true}, Case{200, 100, 512, false},
                       Case{130, 96, 1500, true}}) {
    const at::Tensor x = at::randn({c.rows, c.in}).to(at::kBFloat16),
                     w = at::randn({c.out, c.in}).to(at::kBFloat16);
    const at::Tensor bias = c.bias ? at::randn({c.out}).to(at::kBFloat16) : at::Tensor();
    at::Tensor expected = at::mm(x.to(at::kDouble), w.to(at::kDouble).t());
    if (c.bias) expected += bias.to(at::kDouble);
    const at::Tensor y = widened_linear(x, w, bias);
    ASSERT_EQ(y.scalar_type(), at::kBFloat16);
    ASSERT_EQ(y.sizes(), expected.sizes());
    const at::Tensor error = (y.to(at::kDouble) - expected).abs();
    // Half a unit in the last place of bfloat16's 8 bits, and float32's own error near zero.
    EXPECT_TRUE((error <= expected.abs() * 0x1p-8 + 1e-4).all().item<bool>())
        << c.rows << "x" << c.in << "x" << c.out;
  }
}

TEST(Linear, GivesTheSameValuesOnEitherSideOfTheThreshold) {
  at::manual_seed(4);
  const at::Tensor w = at::randn({300, 64}).to(at::kBFloat16),
                   x = at::randn({kWidenedRows, 64}).to(at::kBFloat16);
  const at::Tensor all = apply_linear(x, w);
  const at::Tensor fewer = apply_linear(x.narrow(0, 0, kWidenedRows - 1), w);
  EXPECT_LT(test::relative_difference(fewer, all.narrow(0, 0, kWidenedRows - 1)), 0x1p-7);
  EXPECT_EQ(apply_linear(x.to(at::kFloat), w.to(at::kFloat)).scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace safetylock
