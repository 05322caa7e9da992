#include "model/weights.h"

#include <limits>

#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;
using test::error_of;
using test::MemoryCheckpoint;

TEST(Weights, HoldTheFilesValuesRoundedOnce) {
  const auto checkpoint = MemoryCheckpoint::copy_of("llama_biases");
  std::vector<float>& up = checkpoint->mutable_values("model.layers.1.mlp.up_proj.weight");
  up[5] = 1.0F + 1.0F / 1024;  // needs 11 bits: exact in float16, not in bfloat16
  const float k_bias = checkpoint->mutable_values("model.layers.0.self_attn.k_proj.bias")[3];
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const Weights weights = load_weights(*checkpoint, at::kCPU, dtype);
    const LayerWeights& layer = weights.layers[1];
    EXPECT_EQ(layer.gate_up[48][5].item<float>(), dtype == at::kBFloat16 ? 1.0F : 1.0F + 1.0F / 1024);
    EXPECT_EQ(weights.layers[0].qkv_bias[32 + 3].item<float>(),
              at::scalar_tensor(k_bias).to(dtype).item<float>());
  }
}

TEST(Weights, BytesCountTiedTensorsOnce) {
  const auto tied = Checkpoint::open(test::tiny_model_path("llama_tied"));
  std::int64_t values = 0;
  for (const CheckpointTensor& tensor : tied->tensors()) {
    std::int64_t product = 1;
    for (const std::uint64_t extent : tensor.shape) product *= static_cast<std::int64_t>(extent);
    values += product;
  }
  EXPECT_EQ(load_weights(*tied, at::kCPU, at::kFloat).bytes(), 4 * values);
  EXPECT_EQ(load_weights(*tied, at::kCPU, at::kBFloat16).bytes(), 2 * values);
}

TEST(Weights, WhatWouldBeIgnoredIsRefused) {
  const auto checkpoint = MemoryCheckpoint::copy_of("llama_tied");
  const auto rows = static_cast<std::uint64_t>(checkpoint->config().vocab_size);
  checkpoint->set("lm_head.weight", {rows, 32}, checkpoint->mutable_values("model.embed_tokens.weight"));
  EXPECT_EQ(code_of([&] { load_weights(*checkpoint, at::kCPU, at::kFloat); }), "model.tensor_extra");
}

TEST(Weights, S22_Float16OverflowIsAnErrorNotAnInfinity) {
  const auto checkpoint = MemoryCheckpoint::copy_of("llama_gqa");
  checkpoint->mutable_values("model.layers.2.mlp.down_proj.weight")[100] = 70000;
  EXPECT_EQ(code_of([&] { load_weights(*checkpoint, at::kCPU, at::kBFloat16); }), "no error");
  const auto error = error_of([&] { load_weights(*checkpoint, at::kCPU, at::kHalf); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "num.nonfinite");
  EXPECT_NE(error->where.find("layers.2.mlp.down_proj.weight, value 100"), std::string::npos) << error->where;
}

// Finite weights, infinite products: no logits come out.
TEST(Weights, NonFiniteLogitsAreAnError) {
  auto checkpoint = MemoryCheckpoint::copy_of("llama_gqa");
  for (float& value : checkpoint->mutable_values("lm_head.weight")) value = std::numeric_limits<float>::max();
  const CausalLM model = test::load_bare(std::move(checkpoint));
  EXPECT_EQ(code_of([&] { model.logits({{1, 2, 3}}, LogitsOf::last_token); }), "num.nonfinite");
}

TEST(Weights, LoadingStopsWhenAsked) {
  const auto checkpoint = Checkpoint::open(test::tiny_model_path("llama_gqa"));
  int calls = 0;
  const auto stop = [&](const Progress& p) {
    EXPECT_LE(p.done, p.total);
    return ++calls < 3;
  };
  EXPECT_EQ(code_of([&] { load_weights(*checkpoint, at::kCPU, at::kFloat, stop); }), "run.interrupted");
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace safetylock
