#include <limits>

#include "model/adapted_checkpoint.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;
using test::Golden;
using test::relative_difference;

const std::string kAdapter = test::tiny_model_path("llama_gqa_lora");

CausalLM load(const std::string& adapter, const std::string& dtype = "float32") {
  return CausalLM(load_decoder(Checkpoint::open(test::tiny_model_path("llama_gqa")),
                               {.device = "cpu", .dtype = dtype, .adapter = adapter}));
}

// Reference: PEFT's merge_and_unload; ranks and alphas differ by module.
TEST(Adapter, MergedModelEqualsPeft) {
  const Golden golden("llama_gqa_lora");
  const CausalLM tuned = load(kAdapter);
  const at::Tensor logits = tuned.logits({golden.integers("ids")}, LogitsOf::all_tokens);
  EXPECT_LT(relative_difference(logits, golden.floats("logits")), 1e-4);
  EXPECT_LT(relative_difference(tuned.o_proj_weight(1), golden.floats("o_proj.1")), 1e-6);
  EXPECT_GT(relative_difference(load("").logits({golden.integers("ids")}, LogitsOf::all_tokens), logits),
            0.1);
}

// Rounded once, after the sum.
TEST(Adapter, MergeIsDoneInFloat32WhateverTheModelsDtype) {
  const Golden golden("llama_gqa_lora");
  const at::Tensor expected = golden.floats("o_proj.1").to(at::kBFloat16);
  const at::Tensor found = load(kAdapter, "bfloat16").o_proj_weight(1);
  EXPECT_LT((found != expected).sum().item<std::int64_t>(), 5) << "other summation order, last bit";
  EXPECT_LT(relative_difference(found, expected), 1.0 / 256);
}

TEST(Adapter, DigestTellsBaseAndTunedApart) {
  const CausalLM base = load(""), tuned = load(kAdapter);
  EXPECT_NE(base.impl().weights_digest(), tuned.impl().weights_digest());
  EXPECT_EQ(tuned.impl().weights_digest(), load(kAdapter).impl().weights_digest());
}

TEST(Adapter, OfAnotherModelIsRefused) {
  EXPECT_EQ(code_of([&] {
              load_decoder(Checkpoint::open(test::tiny_model_path("qwen2")),
                           {.device = "cpu", .dtype = "float32", .adapter = kAdapter});
            }),
            "lora.target")
      << "three layers in the adapter, two in the model";
  EXPECT_EQ(code_of([&] { load(test::tiny_model_path("no_such_adapter")); }), "lora.config");
}

TEST(Adapter, MergeThatOverflowsIsAnError) {
  LoraAdapter adapter = load_lora(kAdapter);
  adapter.modules.front().scale = std::numeric_limits<float>::max();
  for (float& value : adapter.modules.front().a) value = 1e10F;
  const AdaptedCheckpoint checkpoint(Checkpoint::open(test::tiny_model_path("llama_gqa")), adapter);
  EXPECT_EQ(code_of([&] { load_weights(checkpoint, at::kCPU, at::kFloat); }), "num.nonfinite");
}

TEST(Adapter, ReplacedTensorTakesTheBasesPlace) {
  LoraAdapter adapter = load_lora(kAdapter);
  const auto base = test::MemoryCheckpoint::copy_of("llama_gqa");
  std::vector<float> head = base->mutable_values("lm_head.weight");
  for (float& value : head) value = -value;
  adapter.replacements.push_back(
      {"lm_head.weight", {static_cast<std::uint64_t>(base->config().vocab_size), 32}, head});
  const AdaptedCheckpoint checkpoint(Checkpoint::open(test::tiny_model_path("llama_gqa")), adapter);
  const at::Tensor expected = load("").impl().decoder.weights.lm_head;
  EXPECT_TRUE(at::equal(load_weights(checkpoint, at::kCPU, at::kFloat).lm_head, -expected));
}

}  // namespace
}  // namespace safetylock
