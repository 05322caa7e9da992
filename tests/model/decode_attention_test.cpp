#include "model/kernels/decode_attention.h"

#include <limits>

#include "support/tiny_model.h"

namespace safetylock {
namespace {

/// softmax(q k^T / sqrt(D)) v in double, one request and head at a time.
at::Tensor reference(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                     const std::vector<std::int64_t>& lengths) {
  const std::int64_t per_group = q.size(1) / keys.size(2);
  at::Tensor out = at::empty(q.sizes(), at::kDouble);
  for (std::int64_t b = 0; b < q.size(0); ++b) {
    for (std::int64_t h = 0; h < q.size(1); ++h) {
      const std::int64_t n = lengths[static_cast<size_t>(b)];
      const at::Tensor k = keys[b].narrow(0, 0, n).select(1, h / per_group).to(at::kDouble);
      const at::Tensor v = values[b].narrow(0, 0, n).select(1, h / per_group).to(at::kDouble);
      const at::Tensor scores =
          at::mv(k, q[b][h].to(at::kDouble)) / std::sqrt(static_cast<double>(q.size(2)));
      out[b][h] = at::mv(v.t(), at::softmax(scores, 0));
    }
  }
  return out;
}

struct Case {
  std::int64_t B, H, G, D, C;
  at::ScalarType dtype;
  double tolerance;
};

class DecodeAttention : public testing::TestWithParam<Case> {};

TEST_P(DecodeAttention, EqualsTheFormula) {
  const auto [B, H, G, D, C, dtype, tolerance] = GetParam();
  at::manual_seed(1);
  const at::TensorOptions options = at::TensorOptions().dtype(dtype);
  const at::Tensor qkv = at::randn({B, H + 2 * G, D}).to(options);  // queries lie in wider rows, as in a pass
  const at::Tensor q = qkv.narrow(1, 0, H);
  at::Tensor keys = (3 * at::randn({B + 1, C, G, D})).to(options),
             values = at::randn({B + 1, C, G, D}).to(options);
  std::vector<std::int64_t> lengths;
  for (std::int64_t b = 0; b < B; ++b) lengths.push_back(b == 0 ? C : 1 + (b * 37) % C);
  const at::Tensor expected = reference(q, keys, values, lengths);
  for (std::int64_t b = 1; b < B; ++b) {  // what lies beyond a request's tokens must not matter
    const std::int64_t n = lengths[static_cast<size_t>(b)];
    keys[b].narrow(0, n, C - n).fill_(std::numeric_limits<float>::quiet_NaN());
    values[b].narrow(0, n, C - n).fill_(std::numeric_limits<float>::quiet_NaN());
  }
  EXPECT_LT(test::relative_difference(decode_attention_cpu(q, keys, values, lengths), expected), tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, DecodeAttention,
    testing::Values(Case{1, 1, 1, 2, 1, at::kFloat, 1e-6}, Case{3, 9, 3, 64, 70, at::kFloat, 1e-6},
                    Case{2, 12, 2, 128, 300, at::kFloat, 1e-6}, Case{5, 71, 1, 12, 33, at::kFloat, 1e-6},
                    Case{3, 9, 3, 64, 70, at::kBFloat16, 0.01}, Case{2, 12, 2, 128, 300, at::kHalf, 0.001}));

// Scores far apart: the largest decides, nothing overflows.
TEST(DecodeAttention, SurvivesExtremeScores) {
  const at::Tensor q = at::full({1, 1, 4}, 1000.0F);
  at::Tensor keys = at::zeros({1, 3, 1, 4}), values = at::zeros({1, 3, 1, 4});
  keys[0][0] = -1000.0F;
  keys[0][1] = 1000.0F;
  values[0][0] = 5;
  values[0][1] = 7;
  EXPECT_TRUE(at::equal(decode_attention_cpu(q, keys, values, {3}), at::full({1, 1, 4}, 7.0F)));
}

}  // namespace
}  // namespace safetylock
