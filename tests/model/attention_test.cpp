// Attention of a pass over segments: the CPU's kernel against libtorch's operators, which CUDA uses.
#include "model/attention.h"

#include "support/tiny_model.h"

namespace safetylock {
namespace {

at::Tensor of_heads(std::int64_t rows, std::int64_t heads, const ModelConfig& c, at::ScalarType dtype) {
  return at::randn({rows, heads, c.head_dim}).to(dtype);
}

class Attention : public testing::TestWithParam<std::string> {};

// A shared prefix, a reply of several tokens and one of a single token behind it, and a sequence that goes on
// behind what the cache holds; in families whose layers see everything, slide, or cap their scores.
TEST_P(Attention, TheKernelEqualsTheOperators) {
  constexpr std::int64_t kHeld = 7;
  const ModelConfig c = test::load_bare(GetParam()).config();
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-5}, {at::kBFloat16, 0.02}}) {
    const c10::InferenceMode inference;
    at::manual_seed(3);
    const at::TensorOptions options = at::TensorOptions().dtype(dtype);
    KvCache cache(c, 1, options);
    cache.reserve(kHeld + 6);
    for (std::int64_t layer = 0; layer < c.num_hidden_layers; ++layer)
      cache.write(layer, at::arange(kHeld, at::kLong), of_heads(kHeld, c.num_key_value_heads, c, dtype),
                  of_heads(kHeld, c.num_key_value_heads, c, dtype));
    cache.advance(0, kHeld);
    BatchBuilder builder;
    const size_t prefix = builder.add(std::vector<TokenId>(21, 1), 0, 0);
    builder.add(std::vector<TokenId>(10, 1), 21, 0, {prefix});
    builder.add({1}, 21, 1, {prefix});
    builder.add(std::vector<TokenId>(6, 1), kHeld, 2, {}, 0);
    const PackedBatch batch = builder.build();
    const AttentionPlan plan(c, batch, &cache, options);
    const at::Tensor q = of_heads(batch.rows(), c.num_attention_heads, c, dtype),
                     k = of_heads(batch.rows(), c.num_key_value_heads, c, dtype),
                     v = of_heads(batch.rows(), c.num_key_value_heads, c, dtype);
    for (std::int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
      const at::Tensor found = plan.attend(q, k, v, layer);
      EXPECT_LT(test::relative_difference(found, plan.attend_by_operators(q, k, v, layer)), tolerance)
          << dtype << ", layer " << layer;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Attention, testing::Values("llama_gqa", "mistral_window", "gemma2", "gemma3"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace safetylock
