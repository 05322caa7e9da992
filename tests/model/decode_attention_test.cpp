#include "model/kernels/decode_attention.h"

#include <limits>

#include "support/tiny_model.h"

namespace safetylock {
namespace {

/// softmax(cap(scale q k^T)) v in double, one request and head at a time.
at::Tensor reference(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                     const std::vector<KeyRange>& seen, ScoreRule rule) {
  const std::int64_t per_group = q.size(1) / keys.size(2);
  at::Tensor out = at::empty(q.sizes(), at::kDouble);
  for (std::int64_t b = 0; b < q.size(0); ++b) {
    for (std::int64_t h = 0; h < q.size(1); ++h) {
      const KeyRange range = seen[static_cast<size_t>(b)];
      const auto rows = [&](const at::Tensor& side) {
        return side[b].slice(0, range.begin, range.end).select(1, h / per_group).to(at::kDouble);
      };
      const at::Tensor k = rows(keys), v = rows(values);
      at::Tensor scores = at::mv(k, q[b][h].to(at::kDouble)) * rule.scale;
      if (rule.softcap > 0) scores = rule.softcap * at::tanh(scores / rule.softcap);
      out[b][h] = at::mv(v.t(), at::softmax(scores, 0));
    }
  }
  return out;
}

struct Case {
  std::int64_t B, H, G, D, C;
  at::ScalarType dtype;
  double tolerance;
  std::int64_t window = 0;
  float softcap = 0;
};

class DecodeAttention : public testing::TestWithParam<Case> {};

TEST_P(DecodeAttention, EqualsTheFormula) {
  const auto [B, H, G, D, C, dtype, tolerance, window, softcap] = GetParam();
  const ScoreRule rule{.scale = 0.8F / std::sqrt(static_cast<float>(D)), .softcap = softcap};
  at::manual_seed(1);
  const at::TensorOptions options = at::TensorOptions().dtype(dtype);
  const at::Tensor qkv = at::randn({B, H + 2 * G, D}).to(options);  // queries lie in wider rows, as in a pass
  const at::Tensor q = qkv.narrow(1, 0, H);
  at::Tensor keys = (3 * at::randn({B + 1, C, G, D})).to(options),
             values = at::randn({B + 1, C, G, D}).to(options);
  std::vector<KeyRange> seen;
  for (std::int64_t b = 0; b < B; ++b) {
    const std::int64_t end = b == 0 ? C : 1 + (b * 37) % C;
    seen.push_back({window > 0 ? std::max<std::int64_t>(0, end - window) : 0, end});
  }
  const at::Tensor expected = reference(q, keys, values, seen, rule);
  for (std::int64_t b = 0; b < B; ++b) {  // what lies outside a request's tokens must not matter
    const KeyRange range = seen[static_cast<size_t>(b)];
    for (const at::Tensor& side : {keys[b], values[b]}) {
      side.slice(0, 0, range.begin).fill_(std::numeric_limits<float>::quiet_NaN());
      side.slice(0, range.end, C).fill_(std::numeric_limits<float>::quiet_NaN());
    }
  }
  EXPECT_LT(test::relative_difference(decode_attention_cpu(q, keys, values, seen, rule), expected),
            tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, DecodeAttention,
    testing::Values(Case{1, 1, 1, 2, 1, at::kFloat, 1e-6}, Case{3, 9, 3, 64, 70, at::kFloat, 1e-6},
                    Case{2, 12, 2, 128, 300, at::kFloat, 1e-6}, Case{5, 71, 1, 12, 33, at::kFloat, 1e-6},
                    Case{3, 9, 3, 64, 70, at::kBFloat16, 0.01}, Case{2, 12, 2, 128, 300, at::kHalf, 0.001},
                    Case{3, 9, 3, 64, 70, at::kFloat, 1e-6, 16},
                    Case{3, 4, 2, 32, 70, at::kFloat, 1e-6, 0, 1.5F},
                    Case{3, 4, 2, 32, 70, at::kBFloat16, 0.01, 7, 1.5F}));

// Scores far apart: the largest decides, nothing overflows.
TEST(DecodeAttention, SurvivesExtremeScores) {
  const at::Tensor q = at::full({1, 1, 4}, 1000.0F);
  at::Tensor keys = at::zeros({1, 3, 1, 4}), values = at::zeros({1, 3, 1, 4});
  keys[0][0] = -1000.0F;
  keys[0][1] = 1000.0F;
  values[0][0] = 5;
  values[0][1] = 7;
  EXPECT_TRUE(
      at::equal(decode_attention_cpu(q, keys, values, {{0, 3}}, {.scale = 0.5F}), at::full({1, 1, 4}, 7.0F)));
}

}  // namespace
}  // namespace safetylock
