#include "safetylock/derive.h"

#include <ATen/Parallel.h>

#include "analysis/generated_rows.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;
using test::generated_integers;

// 12 questions of 2 replies of 3 tokens on an invented model of 2 layers and 3 heads of 6; layer 1, head 2
// tells the replies apart.
HeadActivations invented_activations() {
  HeadActivations acts;
  const std::int64_t n = 72;
  acts.rows.labels = 1 - at::arange(n, at::kLong).div(3, "floor") % 2;
  acts.rows.groups = at::arange(n, at::kLong).div(6, "floor");
  acts.rows.positions = at::arange(n, at::kLong);
  const at::Tensor z = at::tensor(generated_integers(50, n * 36), at::kDouble).view({n, 2, 3, 6});
  acts.values = (z * 0x1p-15).to(at::kFloat);
  acts.values.select(1, 1).select(1, 2).select(1, 4).add_(5 * (2 * acts.rows.labels - 1));
  acts.provenance.architecture = "LlamaForCausalLM";
  acts.provenance.num_hidden_layers = 2;
  acts.provenance.num_attention_heads = 3;
  acts.provenance.num_key_value_heads = 1;
  acts.provenance.head_dim = 6;
  acts.provenance.hidden_size = 16;
  acts.provenance.tokens_per_reply = 3;
  return acts;
}

TEST(Derive, TakesTheBestHeadsInOrderWithTheirDirections) {
  const HeadActivations acts = invented_activations();
  const std::vector<HeadScore> ranking = rank_heads(acts, {.seed = 4});
  const SafetyLock lock = derive_lock(acts, ranking, {.num_heads = 4, .default_alpha = 5, .seed = 4});
  EXPECT_EQ(lock.heads()[0].id, (HeadId{1, 2}));
  EXPECT_GT(lock.heads()[0].direction[4], 0.95F);  // from unsafe to safe
  ASSERT_EQ(lock.heads().size(), 4U);
  for (size_t k = 0; k < 4; ++k) {
    EXPECT_EQ(lock.heads()[k].id, ranking[k].id);
    EXPECT_EQ(lock.heads()[k].score, static_cast<float>(ranking[k].accuracy));
    const MeanDifference d =
        mean_difference_directions(acts.values, acts.rows.labels, {ranking[k].id}).front();
    EXPECT_EQ(lock.heads()[k].sigma, static_cast<float>(d.sigma));
    EXPECT_EQ(lock.heads()[k].gap, static_cast<float>(d.gap));
    for (size_t j = 0; j < 6; ++j) {
      EXPECT_EQ(lock.heads()[k].direction[j], static_cast<float>(d.direction[j]));
    }
  }
  EXPECT_EQ(lock.identity().protocol, "grouped");
  EXPECT_EQ(lock.identity().seed, 4);
  EXPECT_EQ(lock.identity().tokens_per_reply, 3);
  EXPECT_EQ(lock.default_strength().alpha(), 5);
  EXPECT_EQ(lock.alpha_max(), 24);
}

TEST(Derive, RefusesBadOptions) {
  const HeadActivations acts = invented_activations();
  const std::vector<HeadScore> ranking = rank_heads(acts);
  const auto with = [&](const DeriveOptions& options) {
    return code_of([&] { derive_lock(acts, ranking, options); });
  };
  EXPECT_EQ(with({.num_heads = 6}), "no error");
  EXPECT_EQ(with({.num_heads = 7}), "arg.range");
  EXPECT_EQ(with({.num_heads = 0}), "arg.range");
  EXPECT_EQ(with({.num_heads = -1}), "arg.range");
  EXPECT_EQ(with({.num_heads = 2, .protocol = "random"}), "arg.protocol");
  EXPECT_EQ(with({.num_heads = 2, .seed = ~std::uint64_t{0}}), "arg.range");
  for (const double alpha : {0.0, -1.0, 24.5, std::nan("")}) {
    EXPECT_EQ(with({.num_heads = 2, .default_alpha = alpha}), "arg.alpha") << alpha;
  }
}

// The whole method on a tiny random model.
class DeriveTiny : public testing::Test {
 protected:
  static std::vector<PromptPair> pairs() {
    std::vector<PromptPair> out;
    for (const char* what : {"a lock", "a pie", "a boat", "a kite", "a song", "a knot", "a wall", "a cup"}) {
      out.push_back({std::string("How do I make ") + what + "?",
                     std::string("I can not help with ") + what + ".",
                     std::string("Sure, take wood for ") + what + "!"});
    }
    return out;
  }
  static std::string lock_bytes(const CausalLM& model) {
    const HeadActivations acts = collect_head_activations(model, pairs());
    return derive_lock(acts, rank_heads(acts, {.seed = 1}), {.num_heads = 5, .seed = 1}).to_bytes();
  }
};

TEST_F(DeriveTiny, SameInputsGiveTheSameBytes) {
  for (const char* name : {"llama_gqa", "qwen2"}) {
    const CausalLM model =
        CausalLM::from_pretrained(test::tiny_model_path(name), {.device = "cpu", .dtype = "float32"});
    const std::string first = lock_bytes(model);
    EXPECT_EQ(lock_bytes(model), first);
    const CausalLM again =
        CausalLM::from_pretrained(test::tiny_model_path(name), {.device = "cpu", .dtype = "float32"});
    EXPECT_EQ(lock_bytes(again), first);
    EXPECT_NO_THROW(SafetyLock::from_bytes(first, "memory").check_fits(model.config()));
  }
}

TEST_F(DeriveTiny, SameHeadsAcrossThreadCounts) {
  const CausalLM model =
      CausalLM::from_pretrained(test::tiny_model_path("llama_gqa"), {.device = "cpu", .dtype = "float32"});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const SafetyLock one = SafetyLock::from_bytes(lock_bytes(model), "memory");
  at::set_num_threads(2);
  const SafetyLock two = SafetyLock::from_bytes(lock_bytes(model), "memory");
  at::set_num_threads(before);
  for (size_t k = 0; k < one.heads().size(); ++k) {
    EXPECT_EQ(one.heads()[k].id, two.heads()[k].id);
    const at::Tensor a = at::tensor(one.heads()[k].direction), b = at::tensor(two.heads()[k].direction);
    EXPECT_GE(a.dot(b).item<double>() / (a.norm() * b.norm()).item<double>(), 0.99999);
    EXPECT_NEAR(one.heads()[k].sigma / two.heads()[k].sigma, 1, 1e-5);
  }
}

}  // namespace
}  // namespace safetylock
