// One lock, four ways to compute with it: added to the head outputs by a hook, after o_proj by apply_lock,
// and baked into a folder or a GGUF file that is read again. (In transformers: tests/bake.)
#include <cstdio>

#include "bake/model_lock.h"
#include "safetylock/apply.h"
#include "safetylock/bake.h"
#include "support/gguf_builder.h"
#include "support/temporary.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::load_bare;
using test::lock_for;

constexpr int kSteps = 16;

struct Run {
  std::vector<TokenId> tokens;  // greedy, after the prompt
  at::Tensor logits;            // [T, V] of the prompt
};

Run run(const CausalLM& model) {
  std::vector<TokenId> ids = {5, 6, 7, 8, 9};
  Run result{{}, model.logits({ids}, LogitsOf::all_tokens)};
  for (int step = 0; step < kSteps; ++step) {
    ids.push_back(model.logits({ids}, LogitsOf::last_token).argmax(-1).item<std::int64_t>());
    result.tokens.push_back(ids.back());
  }
  return result;
}

Run with_hook(const CausalLM& model, const SafetyLock& lock) {
  const double alpha = lock.default_strength().alpha();
  const HookHandle hook = model.add_hook(
      HookPoint::head_output, lock.layers(), [&](const HookContext& context, at::Tensor& value) {
        value = value + alpha * at::tensor(lock.displacement(context.layer)).view(value.sizes().slice(1));
      });
  return run(model);
}

Run with_lock(const CausalLM& model, const SafetyLock& lock) {
  const AppliedLock applied = apply_lock(model, lock);
  return run(model);
}

double largest(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

/// `rounding`: of the stored bias, as a share of the lock's effect.
void expect_equal(const std::string& name, const std::string& source, const std::string& baked,
                  double rounding) {
  const CausalLM model = load_bare(Checkpoint::open(source));
  const SafetyLock lock = lock_for(model.config());
  bake_lock(source, lock, baked);
  const Run free = run(model), hook = with_hook(model, lock), applied = with_lock(model, lock);
  const Run read_again = run(load_bare(Checkpoint::open(baked)));
  const double effect = largest(free.logits, applied.logits);
  const double scale = applied.logits.abs().max().item<double>();
  const double by_hook = largest(hook.logits, applied.logits);
  const double by_file = largest(read_again.logits, applied.logits);
  std::printf("%s: effect %.3g; hook and bias differ by %.2g, bias and baked by %.2g\n", name.c_str(), effect,
              by_hook, by_file);
  EXPECT_GT(effect, 0.1) << name;
  EXPECT_LT(by_hook, 1e-5 * scale) << name;
  EXPECT_LT(by_file, 1e-5 * scale + rounding * effect) << name;
  EXPECT_EQ(hook.tokens, applied.tokens) << name;
  EXPECT_EQ(read_again.tokens, applied.tokens) << name;
}

TEST(BakedModel, EveryFamilyComputesTheSame) {
  for (const std::string& name : test::tiny_model_names()) {
    if (name.ends_with("_window") || name.starts_with("phi")) continue;  // refused: tests/bake
    const test::TemporaryFolder folder;
    // llama_gqa is stored as float32, the others as bfloat16.
    expect_equal(name, test::tiny_model_path(name), folder.path("baked"), name == "llama_gqa" ? 0 : 0.01);
  }
}

TEST(BakedModel, GgufFilesComputeTheSame) {
  for (const char* arch : {"llama", "qwen2"}) {
    const test::TemporaryFolder folder;
    test::GgufBuilder file = test::tiny_gguf(arch, {.hidden = 32, .heads = 4, .kv_heads = 2, .head_dim = 8});
    at::manual_seed(11);
    for (test::GgufBuilder::Tensor& t : file.tensors) {
      const auto count = static_cast<std::int64_t>(t.data.size() / sizeof(float));
      const at::Tensor values = at::randn({count}) * 0.4 + (t.name.find("norm") != std::string::npos ? 1 : 0);
      t.data.assign(static_cast<const char*>(values.const_data_ptr()), t.data.size());
    }
    const std::string source = folder.write("source.gguf", file.build());
    expect_equal(arch, source, folder.path("baked.gguf"), 0);
  }
}

}  // namespace
}  // namespace safetylock
