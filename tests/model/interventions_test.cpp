#include "safetylock/interventions.h"

#include <cstdio>
#include <limits>

#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;
using test::MemoryCheckpoint;
using test::random_interventions;
using test::relative_difference;

const std::vector<std::vector<TokenId>> kSequences = {{5, 6, 7}, {8, 9, 10, 11, 12}, {13}};

at::Tensor logits_of(const CausalLM& model, const Interventions* interventions = nullptr) {
  return model.logits(kSequences, LogitsOf::all_tokens, interventions);
}

TEST(Interventions, AlphaZeroIsBitEqualToUnlocked) {
  for (const char* dtype : {"float32", "bfloat16", "float16"}) {
    const CausalLM model = test::load_bare("llama_biases", dtype);
    const Interventions off = random_interventions(model.config(), {0, 1}, {Strength()});
    const Interventions all_off =
        random_interventions(model.config(), {0, 1}, {Strength(), Strength(), Strength()});
    EXPECT_TRUE(at::equal(logits_of(model, &off), logits_of(model))) << dtype;
    EXPECT_TRUE(at::equal(logits_of(model, &all_off), logits_of(model))) << dtype;
  }
}

TEST(Interventions, LeaveEarlierLayersBitEqual) {
  const CausalLM model = test::load_bare("llama_gqa");
  std::vector<at::Tensor> seen;
  const HookHandle reader =
      model.add_hook(HookPoint::block_output, {},
                     [&](const HookContext&, at::Tensor& value) { seen.push_back(value.clone()); });
  logits_of(model);
  const std::vector<at::Tensor> before = std::exchange(seen, {});
  const Interventions lock = random_interventions(model.config(), {1}, {Strength(6)});
  logits_of(model, &lock);
  EXPECT_TRUE(at::equal(seen[0], before[0]));
  EXPECT_FALSE(at::equal(seen[1], before[1]));
}

TEST(Interventions, DestroyedHandleRestoresBitEqualLogits) {
  const CausalLM model = test::load_bare("llama_gqa");
  const at::Tensor before = logits_of(model);
  {
    const HookHandle handle = model.set_default_interventions(
        std::make_shared<Interventions>(random_interventions(model.config(), {0, 2}, {Strength(4)})));
    EXPECT_FALSE(at::equal(logits_of(model), before));
    const Interventions none;
    EXPECT_TRUE(at::equal(logits_of(model, &none), before)) << "given interventions replace the default ones";
  }
  EXPECT_TRUE(at::equal(logits_of(model), before));
  EXPECT_EQ(model.default_interventions(), nullptr);
}

struct PathCase {
  const char* model;
  const char* dtype;
  double rounding;  ///< largest allowed difference of logits, relative to the largest logit
};

// The three ways to apply a displacement d: added to the head outputs before o_proj, W_o d added after it,
// and W_o d written into o_proj.bias of the model.
class ThreePaths : public testing::TestWithParam<PathCase> {
 protected:
  static constexpr double kAlpha = 6.0;
  static constexpr std::int64_t kLayer = 1;

  /// The model with alpha * W_o d added to the layer's o_proj.bias, in double.
  std::unique_ptr<MemoryCheckpoint> baked(const at::Tensor& o_proj_times_d) const {
    auto checkpoint = MemoryCheckpoint::copy_of(GetParam().model);
    const ModelConfig c = checkpoint->config();
    checkpoint->mutable_config().attention_out_bias = true;
    for (std::int64_t l = 0; l < c.num_hidden_layers; ++l) {
      const std::string tensor = "model.layers." + std::to_string(l) + ".self_attn.o_proj.bias";
      at::Tensor bias = at::zeros({c.hidden_size}, at::kDouble);
      if (c.attention_out_bias) bias += at::tensor(checkpoint->mutable_values(tensor)).to(at::kDouble);
      if (l == kLayer) bias += kAlpha * o_proj_times_d;
      const at::Tensor rounded = bias.to(at::kFloat);
      const float* values = rounded.const_data_ptr<float>();
      checkpoint->set(tensor, {static_cast<std::uint64_t>(c.hidden_size)}, {values, values + c.hidden_size});
    }
    return checkpoint;
  }
};

TEST_P(ThreePaths, AgreeWithinRounding) {
  const auto [name, dtype, rounding] = GetParam();
  const CausalLM model = test::load_bare(name, dtype);
  const ModelConfig& c = model.config();
  at::manual_seed(3);
  const at::Tensor d = 0.05 * at::randn({c.attention_size()});
  const at::Tensor o_proj_times_d = at::mv(model.o_proj_weight(kLayer).to(at::kDouble), d.to(at::kDouble));

  const at::Tensor unlocked = logits_of(model);
  HookHandle hook =
      model.add_hook(HookPoint::head_output, {kLayer}, [&](const HookContext&, at::Tensor& value) {
        value.add_((kAlpha * d).view({c.num_attention_heads, c.head_dim}).to(value.scalar_type()));
      });
  const at::Tensor hooked = logits_of(model);
  hook.remove();
  const Interventions lock{.biases = {{kLayer, o_proj_times_d.to(at::kFloat)}},
                           .strengths = {Strength(kAlpha)}};
  const at::Tensor added = logits_of(model, &lock);
  const at::Tensor served = logits_of(test::load_bare(baked(o_proj_times_d), dtype));

  const double effect = relative_difference(added, unlocked);
  const double hook_path = relative_difference(hooked, added),
               baked_path = relative_difference(served, added);
  std::printf(
      "%s %s: the lock moves logits by %.2g of the largest; hook path differs by %.2g, baked path by %.2g\n",
      name, dtype, effect, hook_path, baked_path);
  EXPECT_GT(effect, 2 * rounding) << "a lock too weak to test with";
  EXPECT_LT(hook_path, rounding);
  EXPECT_LT(baked_path, rounding);
}

INSTANTIATE_TEST_SUITE_P(
    Tiny, ThreePaths,
    testing::Values(PathCase{"llama_gqa", "float32", 1e-5}, PathCase{"llama_biases", "float32", 1e-5},
                    PathCase{"llama_head_dim", "float32", 1e-5}, PathCase{"qwen2", "float32", 1e-5},
                    PathCase{"qwen3", "float32", 1e-5}, PathCase{"mistral_window", "float32", 1e-5},
                    PathCase{"gemma2", "float32", 1e-5}, PathCase{"gemma3", "float32", 1e-5},
                    PathCase{"phi3", "float32", 1e-5}, PathCase{"smollm3", "float32", 1e-5},
                    PathCase{"gemma3", "bfloat16", 0.05}, PathCase{"llama_biases", "bfloat16", 0.05},
                    PathCase{"llama_gqa", "float16", 0.006}));

TEST(Interventions, StrengthBelongsToTheRequest) {
  const std::vector<std::int64_t> first_rows = {0, 3, 8}, rows = {3, 5, 1};
  for (const char* dtype : {"float32", "bfloat16"}) {
    const CausalLM model = test::load_bare("llama_gqa", dtype);
    const Interventions mixed =
        random_interventions(model.config(), {0, 2}, {Strength(6), Strength(), Strength(2)});
    const at::Tensor together = logits_of(model, &mixed);
    for (size_t i = 0; i < kSequences.size(); ++i) {
      const Interventions uniform{.biases = mixed.biases, .strengths = {mixed.strengths[i]}};
      const at::Tensor mine = together.narrow(0, first_rows[i], rows[i]);
      EXPECT_TRUE(at::equal(mine, logits_of(model, &uniform).narrow(0, first_rows[i], rows[i])))
          << dtype << " request " << i;
    }
  }
}

TEST(Interventions, TwoLocksOnOneModelAreRefused) {
  const CausalLM model = test::load_bare("llama_gqa");
  const auto lock = std::make_shared<Interventions>(random_interventions(model.config(), {0}, {Strength(1)}));
  HookHandle first = model.set_default_interventions(lock);
  EXPECT_EQ(code_of([&] { (void)model.set_default_interventions(lock); }), "lock.state");
  first.remove();
  const HookHandle again = model.set_default_interventions(lock);
  EXPECT_EQ(model.default_interventions(), lock);
}

TEST(Interventions, RefuseWhatDoesNotFitTheModel) {
  const CausalLM model = test::load_bare("llama_gqa");
  const auto code = [&](std::int64_t layer, const at::Tensor& bias, size_t strengths = 1) {
    const Interventions lock{.biases = {{layer, bias}},
                             .strengths = std::vector<Strength>(strengths, Strength(1))};
    return code_of([&] { logits_of(model, &lock); });
  };
  EXPECT_EQ(code(0, at::ones({32})), "no error");
  EXPECT_EQ(code(3, at::ones({32})), "arg.range");
  EXPECT_EQ(code(0, at::ones({31})), "arg.shape");
  EXPECT_EQ(code(0, at::ones({1, 32})), "arg.shape");
  EXPECT_EQ(code(0, at::ones({32}, at::kDouble)), "arg.shape");
  EXPECT_EQ(code(0, at::Tensor()), "arg.shape");
  EXPECT_EQ(code(0, at::full({32}, std::numeric_limits<float>::quiet_NaN())), "num.nonfinite");
  EXPECT_EQ(code(0, at::ones({32}), 2), "arg.shape");
}

}  // namespace
}  // namespace safetylock
