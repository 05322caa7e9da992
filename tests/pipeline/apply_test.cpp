#include "safetylock/apply.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>

#include "base/sha256.h"
#include "pipeline/output_bias.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;
using test::load_bare;
using test::relative_difference;

const std::vector<std::vector<TokenId>> kSequences = {{5, 6, 7}, {8, 9, 10, 11, 12}};

at::Tensor logits_of(const CausalLM& model) {
  return model.logits(kSequences, LogitsOf::all_tokens);
}

std::vector<HeadDirection> random_heads(const std::vector<HeadId>& ids, std::int64_t dim) {
  std::vector<HeadDirection> heads;
  at::manual_seed(3);
  for (const HeadId id : ids) {
    at::Tensor v = at::randn({dim}, at::kDouble);
    v = (v / v.norm()).to(at::kFloat);
    const float* data = v.const_data_ptr<float>();
    heads.push_back({.id = id, .direction = {data, data + dim}, .sigma = 0.3F, .score = 0.9F});
  }
  return heads;
}

// Three heads of two layers.
SafetyLock random_lock(const ModelConfig& c) {
  return {identity_of(c), random_heads({{1, 3}, {0, 2}, {1, 0}}, c.head_dim)};
}

TEST(Apply, BiasesAreTheModelsOwnOProjTimesTheDisplacement) {
  for (const char* name : {"llama_gqa", "llama_head_dim", "llama_biases", "qwen2"}) {
    for (const char* dtype : {"float32", "bfloat16", "float16"}) {
      const CausalLM model = load_bare(name, dtype);
      const SafetyLock lock = random_lock(model.config());
      const AppliedLock applied = apply_lock(model, lock);
      ASSERT_EQ(applied.interventions().biases.size(), 2U);
      for (const auto& [layer, bias] : applied.interventions().biases) {
        const at::Tensor w = model.o_proj_weight(layer).to(at::kFloat).contiguous();
        const std::vector<float> expected =
            lock.output_bias(layer, {w.const_data_ptr<float>(), static_cast<size_t>(w.numel())});
        EXPECT_EQ(bias.scalar_type(), at::kFloat);
        EXPECT_LT(relative_difference(bias, at::tensor(expected)), 2e-7)
            << name << " " << dtype << " " << layer;
      }
      EXPECT_GT(applied.seconds(), 0.0);
    }
  }
}

// W_o (x + alpha d) = W_o x + alpha W_o d.
TEST(Apply, EqualsAddingTheDisplacementToTheHeadOutputs) {
  for (const char* name : {"llama_gqa", "llama_head_dim", "qwen2"}) {
    const CausalLM model = load_bare(name);
    const SafetyLock lock = random_lock(model.config());
    const at::Tensor unlocked = logits_of(model);
    at::Tensor by_hook;
    {
      const HookHandle hook = model.add_hook(
          HookPoint::head_output, lock.layers(), [&](const HookContext& context, at::Tensor& value) {
            value = value + 4.0 * at::tensor(lock.displacement(context.layer)).view(value.sizes().slice(1));
          });
      by_hook = logits_of(model);
    }
    const AppliedLock applied = apply_lock(model, lock, {.alpha = 4.0});
    EXPECT_LT(relative_difference(logits_of(model), by_hook), 1e-5) << name;
    EXPECT_GT(relative_difference(by_hook, unlocked), 1e-3) << "the lock does nothing";
  }
}

TEST(Apply, DefaultStrengthIsTheLocksAndZeroIsUnlocked) {
  const CausalLM model = load_bare("llama_gqa");
  const SafetyLock lock = random_lock(model.config());
  const at::Tensor unlocked = logits_of(model);
  const auto locked_at = [&](const ApplyOptions& options) {
    const AppliedLock applied = apply_lock(model, lock, options);
    return logits_of(model);
  };
  EXPECT_TRUE(at::equal(locked_at({}), locked_at({.alpha = 6.0})));
  EXPECT_FALSE(at::equal(locked_at({}), locked_at({.alpha = 3.0})));
  EXPECT_TRUE(at::equal(locked_at({.alpha = 0.0}), unlocked));
  EXPECT_TRUE(at::equal(logits_of(model), unlocked)) << "a destroyed lock left something behind";
  AppliedLock applied = apply_lock(model, lock);
  applied.remove();
  EXPECT_TRUE(at::equal(logits_of(model), unlocked));
}

TEST(Apply, RefusesASecondLockUntilTheFirstIsGone) {
  const CausalLM model = load_bare("llama_gqa");
  const SafetyLock lock = random_lock(model.config());
  {
    const AppliedLock applied = apply_lock(model, lock);
    const at::Tensor locked = logits_of(model);
    EXPECT_EQ(code_of([&] { const AppliedLock second = apply_lock(model, lock); }), "lock.state");
    EXPECT_TRUE(at::equal(logits_of(model), locked));
  }
  EXPECT_EQ(code_of([&] { const AppliedLock again = apply_lock(model, lock); }), "no error");
}

TEST(Apply, RefusesAlphasOutOfRange) {
  const CausalLM model = load_bare("llama_gqa");
  const SafetyLock lock = random_lock(model.config());
  const double bad[] = {-1.0, 24.5, 1e9, std::nan(""), std::numeric_limits<double>::infinity()};
  for (const double alpha : bad) {
    EXPECT_EQ(code_of([&] { const AppliedLock a = apply_lock(model, lock, {.alpha = alpha}); }), "arg.alpha")
        << alpha;
  }
  EXPECT_EQ(model.default_interventions(), nullptr);
  EXPECT_EQ(code_of([&] { const AppliedLock a = apply_lock(model, lock, {.alpha = 24.0}); }), "no error");
  EXPECT_EQ(apply_lock(model, lock).interventions().alpha_max, lock.alpha_max());
}

TEST(Apply, RefusesTheLockOfAnotherModel) {
  const CausalLM gqa = load_bare("llama_gqa"), qwen = load_bare("qwen2"),
                 linear = load_bare("llama_rope_linear");
  for (const CausalLM* other : {&qwen, &linear}) {
    const auto error =
        test::error_of([&] { const AppliedLock a = apply_lock(gqa, random_lock(other->config())); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code, "bind.model");
  }
  EXPECT_EQ(gqa.default_interventions(), nullptr);
}

TEST(OutputBias, SameBitsWithOneAndWithTwoThreads) {
  // The shape of Qwen2.5-1.5B: 24 heads of 128 over 28 layers, all in one matrix here.
  at::manual_seed(5);
  const at::Tensor o_proj = at::randn({1536, 24 * 128}).to(at::kBFloat16);
  std::vector<HeadId> ids;
  for (std::int64_t h = 0; h < 24; ++h) ids.push_back({0, h});
  const std::vector<HeadDirection> heads = random_heads(ids, 128);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = output_bias(o_proj, heads);
  at::set_num_threads(2);
  const at::Tensor two = output_bias(o_proj, heads);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, two));
}

}  // namespace
}  // namespace safetylock
