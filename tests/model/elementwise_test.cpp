// The CPU kernels between the matrix products, each against the same arithmetic in libtorch's operators.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/kernels/add_scaled_row.h"
#include "model/kernels/gated_activation.h"
#include "model/kernels/residual_norm.h"
#include "model/kernels/rms_norm.h"
#include "model/kernels/rotate.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

/// Which dtype, and its relative spacing.
struct Precision {
  at::ScalarType dtype;
  double unit;
};

class Elementwise : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override { at::manual_seed(7); }
  at::Tensor values(at::IntArrayRef sizes, double scale = 1) {
    return (at::randn(sizes) * scale).to(GetParam().dtype);
  }
  /// Roundings of float32 that fall on the other side may cost a unit of the dtype, now and then.
  void expect_near(const at::Tensor& got, const at::Tensor& want, const std::string& what,
                   double share_off = 0.02) {
    ASSERT_EQ(got.scalar_type(), want.scalar_type());
    ASSERT_EQ(got.sizes(), want.sizes());
    const at::Tensor wide = want.to(at::kDouble), error = (got.to(at::kDouble) - wide).abs();
    const double unit = GetParam().unit;
    EXPECT_TRUE((error <= wide.abs() * (2 * unit) + unit * 1e-2 + 1e-6).all().item<bool>())
        << what << ": " << error.max().item<double>();
    if (unit > 1e-4) {
      const auto differing = (error > 0).sum().item<std::int64_t>();
      EXPECT_LE(static_cast<double>(differing), 1 + share_off * static_cast<double>(got.numel())) << what;
    }
  }
};

TEST_P(Elementwise, NormOfRows) {
  for (const std::int64_t n : {1, 7, 64, 577}) {
    for (const bool offset : {false, true}) {
      for (const double scale : {3.0, 3e-3}) {  // so small that eps counts
        const at::Tensor x = values({5, n}, scale), weight = values({n});
        const NormRule rule{.eps = 1e-5, .unit_offset = offset};
        expect_near(rms_norm(x, weight, rule), rms_norm_by_operators(x, weight, rule),
                    "n = " + std::to_string(n));
      }
    }
  }
}

TEST_P(Elementwise, NormOfHeadsTouchesNothingElse) {
  const at::Tensor qkv = values({4, 9, 16}), before = qkv.clone(), weight = values({16});
  const at::Tensor heads = qkv.narrow(1, 2, 5);
  const NormRule rule{.eps = 1e-6};
  const at::Tensor want = rms_norm_by_operators(heads.clone(), weight, rule);
  rms_norm_in_place(heads, weight, rule);
  expect_near(heads.contiguous(), want, "heads");
  EXPECT_TRUE(at::equal(qkv.narrow(1, 0, 2), before.narrow(1, 0, 2)));
  EXPECT_TRUE(at::equal(qkv.narrow(1, 7, 2), before.narrow(1, 7, 2)));
}

TEST_P(Elementwise, GatedActivations) {
  for (const Activation act : {Activation::silu, Activation::gelu_pytorch_tanh}) {
    // libtorch's GELU itself is a unit off the exact value in a tenth of all cases.
    const double share_off = act == Activation::silu ? 0.02 : 0.25;
    for (const std::int64_t F : {1, 5, 96, 1000}) {
      const at::Tensor gate_up = values({3, 2 * F}, 4);
      expect_near(gated_activation(gate_up, act), gated_activation_by_operators(gate_up, act),
                  "F = " + std::to_string(F), share_off);
    }
    // Far out: nothing overflows on the way.
    const at::Tensor far = at::tensor({-1e4F, -90.0F, 0.0F, 90.0F, 1e4F, 1.0F, 1.0F, 1.0F, 1.0F, 1.0F})
                               .unsqueeze(0)
                               .to(GetParam().dtype);
    expect_near(gated_activation(far, act), gated_activation_by_operators(far, act), "far out", 0.3);
  }
}

TEST_P(Elementwise, RotatesTheFirstPartOfEachHead) {
  for (const std::int64_t half : {1, 3, 8}) {
    const at::Tensor qkv = values({6, 5, 16}), heads = qkv.narrow(1, 0, 3);
    const at::Tensor angles = at::randn({6, 1, half});
    const at::Tensor cos = at::cos(angles).to(GetParam().dtype), sin = at::sin(angles).to(GetParam().dtype);
    const at::Tensor want = qkv.clone();
    rotate_by_operators(want.narrow(1, 0, 3), cos, sin);
    rotate_in_place(heads, cos, sin);
    EXPECT_TRUE(at::equal(qkv, want)) << "half = " << half;
  }
}

TEST_P(Elementwise, AddsEachRowsShareOfAVector) {
  const at::Tensor vector = at::randn({77}), strengths = at::tensor({0.0F, 1.5F, -2.0F, 0.25F}).unsqueeze(1);
  const at::Tensor rows = values({4, 77}), want = rows.clone(), before = rows.clone();
  add_scaled_row_by_operators(want, vector, strengths);
  add_scaled_row(rows, vector, strengths);
  EXPECT_TRUE(at::equal(rows, want));
  EXPECT_FALSE(at::equal(rows, before));
  EXPECT_TRUE(at::equal(rows[0], before[0]));
}

TEST_P(Elementwise, AddsOneVectorToAllRows) {
  const at::Tensor vector = values({77}), rows = values({4, 77}), want = rows + vector, before = rows.clone();
  add_row(rows, vector);
  EXPECT_TRUE(at::equal(rows, want));
  EXPECT_FALSE(at::equal(rows[0], before[0]));
}

// Against float64: sum and norm, without a lock, with one for all rows, and with a strength a row.
TEST_P(Elementwise, ResidualAdditionLockAndNorm) {
  const at::Tensor x = values({4, 77}), attn_output = values({4, 77}), weight = values({77});
  const at::Tensor vector = at::randn({77}), strengths = at::tensor({0.0F, 1.5F, -2.0F, 0.25F}).unsqueeze(1);
  const NormRule rule{.eps = 1e-5};
  const at::ScalarType dtype = GetParam().dtype;
  const at::Tensor alike = vector.to(dtype);
  const std::vector<std::pair<RowTerm, at::Tensor>> cases = {
      {RowTerm{}, at::zeros({4, 77}, at::kDouble)},
      {RowTerm{.vector = alike, .strengths = {}}, alike.to(at::kDouble).expand({4, 77})},
      {RowTerm{.vector = vector, .strengths = strengths},
       strengths.to(at::kDouble) * vector.to(at::kDouble)}};
  for (const auto& [lock, term] : cases) {
    const ResidualNorm found = add_and_norm(x, attn_output.clone(), lock, weight, rule);
    const at::Tensor sum = x.to(at::kDouble) + attn_output.to(at::kDouble) + term;
    const at::Tensor normed =
        sum * at::rsqrt(at::square(sum).mean(-1, true) + rule.eps) * weight.to(at::kDouble);
    const double unit = GetParam().unit * 8;  // three roundings, of terms up to a few times the sum
    EXPECT_EQ(found.sum.scalar_type(), dtype);
    EXPECT_LT((found.sum.to(at::kDouble) - sum).abs().max().item<double>(), unit);
    EXPECT_LT((found.normed.to(at::kDouble) - normed).abs().max().item<double>(), 2 * unit);
    EXPECT_TRUE(at::equal(add_residual(x, attn_output, lock), found.sum));
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Elementwise,
                         testing::Values(Precision{at::kFloat, 0x1p-22}, Precision{at::kBFloat16, 0x1p-8},
                                         Precision{at::kHalf, 0x1p-11}),
                         [](const auto& instance) {
                           return std::string(c10::toString(instance.param.dtype));
                         });

}  // namespace
}  // namespace safetylock
