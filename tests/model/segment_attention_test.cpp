#include "model/kernels/segment_attention.h"

#include <ATen/Parallel.h>

#include <limits>

#include "support/tiny_model.h"

namespace safetylock {
namespace {

struct Shape {
  std::int64_t H, G, D;
};

/// Keys and values of a pass of N rows, in wider rows as a pass has them, and of a cache.
struct Inputs {
  at::Tensor q;
  KeyValues kv;
  std::vector<SegmentRows> segments;
};

/// One that sees only itself; two that share it; one behind 21 rows of the second slot of a cache; a last one
/// behind a parent and its child, longer than any block.
Inputs inputs_of(Shape s, at::ScalarType dtype) {
  constexpr std::int64_t kRows = 150, kCapacity = 40;
  at::manual_seed(11);
  const at::Tensor qkv = at::randn({kRows, s.H + 2 * s.G, s.D}).to(dtype);
  const auto cached = [&](double scale) { return (scale * at::randn({2, kCapacity, s.G, s.D})).to(dtype); };
  return {.q = qkv.narrow(1, 0, s.H),
          .kv = {.keys = qkv.narrow(1, s.H, s.G),
                 .values = qkv.narrow(1, s.H + s.G, s.G),
                 .cached_keys = cached(2),
                 .cached_values = cached(1)},
          .segments = {{.begin = 0, .length = 37, .earlier = {}},
                       {.begin = 37, .length = 1, .earlier = {{false, 0, 37}}},
                       {.begin = 38, .length = 18, .earlier = {{false, 0, 37}}},
                       {.begin = 56, .length = 9, .earlier = {{true, kCapacity, 21}}},
                       {.begin = 65, .length = 85, .earlier = {{false, 0, 37}, {false, 38, 18}}}}};
}

/// Rows that a segment sees, [keys, G, D] in double.
at::Tensor seen(const SegmentRows& segment, const at::Tensor& fresh, const at::Tensor& cached) {
  std::vector<at::Tensor> parts;
  for (const KeyRows& rows : segment.earlier)
    parts.push_back((rows.cached ? cached.flatten(0, 1) : fresh).narrow(0, rows.begin, rows.length));
  parts.push_back(fresh.narrow(0, segment.begin, segment.length));
  return at::cat(parts).to(at::kDouble);
}

/// softmax(cap(scale q k^T)) v in double, one query at a time.
at::Tensor reference(const Inputs& in, std::int64_t window, ScoreRule rule) {
  const std::int64_t shared = in.q.size(1) / in.kv.keys.count();
  at::Tensor out = at::empty(in.q.sizes(), at::kDouble);
  for (const SegmentRows& segment : in.segments) {
    const at::Tensor keys = seen(segment, in.kv.keys.tensor(), in.kv.cached_keys),
                     values = seen(segment, in.kv.values.tensor(), in.kv.cached_values);
    for (std::int64_t t = 0; t < segment.length; ++t) {
      const std::int64_t end = keys.size(0) - segment.length + t + 1,
                         begin = window > 0 ? std::max<std::int64_t>(0, end - window) : 0;
      for (std::int64_t h = 0; h < in.q.size(1); ++h) {
        const at::Tensor k = keys.slice(0, begin, end).select(1, h / shared),
                         v = values.slice(0, begin, end).select(1, h / shared);
        at::Tensor scores = at::mv(k, in.q[segment.begin + t][h].to(at::kDouble)) * rule.scale;
        if (rule.softcap > 0) scores = rule.softcap * at::tanh(scores / rule.softcap);
        out[segment.begin + t][h] = at::mv(v.t(), at::softmax(scores, 0));
      }
    }
  }
  return out;
}

class SegmentAttention : public testing::TestWithParam<InstructionSet> {
 protected:
  at::Tensor attend(const Inputs& in, std::int64_t window, ScoreRule rule) const {
    return segment_attention_with(GetParam(), in.q, in.kv, in.segments, window, rule);
  }
};

// Head counts and sizes that no vector and no tile divides, windows shorter and longer than a block, a cap.
TEST_P(SegmentAttention, EqualsTheFormula) {
  for (const Shape shape : {Shape{1, 1, 2}, {9, 3, 64}, {12, 2, 128}, {7, 1, 80}, {4, 4, 24}, {2, 1, 256}}) {
    for (const auto& [dtype, tolerance] :
         {std::pair{at::kFloat, 2e-6}, {at::kBFloat16, 0.012}, {at::kHalf, 0.001}}) {
      const Inputs in = inputs_of(shape, dtype);
      for (const std::int64_t window : {0, 1, 5, 50}) {
        for (const float softcap : {0.0F, 1.5F}) {
          const ScoreRule rule{.scale = 0.8F / std::sqrt(static_cast<float>(shape.D)), .softcap = softcap};
          const at::Tensor found = attend(in, window, rule);
          ASSERT_EQ(found.scalar_type(), dtype);
          EXPECT_LT(test::relative_difference(found, reference(in, window, rule)), tolerance)
              << shape.H << "/" << shape.G << "x" << shape.D << " " << dtype << " window " << window
              << " cap " << softcap;
        }
      }
    }
  }
}

// A request must not feel which others are in its batch, nor how many threads there are.
TEST_P(SegmentAttention, ASegmentIsTheSameInEveryCompany) {
  const int threads = at::get_num_threads();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Inputs in = inputs_of({9, 3, 64}, dtype);
    const ScoreRule rule{.scale = 0.125F};
    const at::Tensor together = attend(in, 0, rule);
    at::set_num_threads(1);
    EXPECT_TRUE(at::equal(attend(in, 0, rule), together));
    at::set_num_threads(threads);
    for (const SegmentRows& segment : std::vector<SegmentRows>(in.segments)) {
      in.segments = {segment};
      const auto rows = [&](const at::Tensor& all) { return all.narrow(0, segment.begin, segment.length); };
      EXPECT_TRUE(at::equal(rows(attend(in, 0, rule)), rows(together)));
    }
  }
}

// Neither later tokens nor what lies elsewhere in the cache; and what is not a number is not hidden.
TEST_P(SegmentAttention, LooksNeitherAheadNorAside) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  const ScoreRule rule{.scale = 0.125F};
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Inputs in = inputs_of({9, 3, 64}, dtype);
    const at::Tensor before = attend(in, 0, rule);
    in.kv.cached_keys[0].fill_(kNaN);
    in.kv.cached_values[0].fill_(kNaN);
    in.kv.cached_keys[1].slice(0, 21).fill_(kNaN);
    in.kv.cached_values[1].slice(0, 21).fill_(kNaN);
    in.kv.keys.tensor().slice(0, 100).fill_(kNaN);
    const at::Tensor after = attend(in, 0, rule);
    EXPECT_TRUE(at::equal(after.slice(0, 0, 100), before.slice(0, 0, 100)));
    EXPECT_TRUE(at::isnan(after.slice(0, 100)).all().item<bool>());
  }
}

// Scores far apart: the largest decides, nothing overflows.
TEST_P(SegmentAttention, SurvivesExtremeScores) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::TensorOptions options = at::TensorOptions().dtype(dtype);
    at::Tensor keys = at::zeros({3, 1, 4}, options), values = at::zeros({3, 1, 4}, options);
    keys[0].fill_(-1000.0F);
    keys[1].fill_(1000.0F);
    values[1].fill_(7.0F);
    const std::vector<SegmentRows> segments = {{.begin = 0, .length = 3, .earlier = {}}};
    const at::Tensor out =
        segment_attention_with(GetParam(), at::full({3, 1, 4}, 1000.0F, options),
                               {.keys = keys, .values = values, .cached_keys = {}, .cached_values = {}},
                               segments, 0, {.scale = 1.0F});
    EXPECT_TRUE(at::equal(out[0], at::zeros({1, 4}, options)));
    EXPECT_TRUE(at::equal(out[1], at::full({1, 4}, 7.0F, options)));
    EXPECT_TRUE(at::equal(out[2], at::full({1, 4}, 7.0F, options)));
  }
}

// Scores far larger than those of all keys before, for some queries alone: these find it, and the others do
// not feel that.
TEST_P(SegmentAttention, FindsTheLargestScoreWhereverItIs) {
  constexpr std::int64_t kTokens = 100, kLoud = 70;
  const ScoreRule rule{.scale = 1.0F};
  for (const std::int64_t D : {24, 64, 128}) {
    for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 2e-5}, {at::kBFloat16, 0.012}}) {
      at::manual_seed(5);
      const at::TensorOptions options = at::TensorOptions().dtype(dtype);
      const at::Tensor qkv = at::randn({kTokens, 3, D}, options);
      qkv.select(1, 0).div_(16);  // queries, of which every second one sees that key with 150 more
      qkv.slice(0, 0, kTokens, 2).select(1, 0).select(1, 0).fill_(15);
      qkv.slice(0, 1, kTokens, 2).select(1, 0).select(1, 0).fill_(0);
      qkv[kLoud][1][0] = 10;
      const Inputs in{.q = qkv.narrow(1, 0, 1),
                      .kv = {.keys = qkv.narrow(1, 1, 1),
                             .values = qkv.narrow(1, 2, 1),
                             .cached_keys = {},
                             .cached_values = {}},
                      .segments = {{.begin = 0, .length = kTokens, .earlier = {}}}};
      const at::Tensor found = attend(in, 0, rule).clone();
      EXPECT_LT(test::relative_difference(found, reference(in, 0, rule)), tolerance) << D << " " << dtype;
      qkv[kLoud][1][0] = 0;
      const auto others = [&](const at::Tensor& all) { return all.slice(0, 1, kTokens, 2); };
      EXPECT_TRUE(at::equal(others(found), others(attend(in, 0, rule)))) << D << " " << dtype;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, SegmentAttention, testing::ValuesIn(host_instruction_sets()),
                         [](const auto& instance) { return std::string(name_of(instance.param)); });

}  // namespace
}  // namespace safetylock
