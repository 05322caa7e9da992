#include "model/weights.h"

#include <unistd.h>

#include <limits>

#include "model/memory_check.h"
#include "support/hf_folder.h"
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

// What baking leaves behind: biases for all projections, most of them 0.
TEST(Weights, BiasesOfZerosAreNotKept) {
  const auto checkpoint = MemoryCheckpoint::copy_of("llama_biases");
  const auto clear = [&](const std::string& name, size_t kept) {
    std::vector<float>& values = checkpoint->mutable_values(name);
    for (size_t i = 0; i < values.size(); ++i) values[i] = i == kept ? 1e-30F : 0.0F;
  };
  constexpr size_t kNone = 1 << 30;
  for (const char* projection : {"q_proj", "k_proj", "v_proj", "o_proj"})
    clear("model.layers.0.self_attn." + std::string(projection) + ".bias", kNone);
  for (const char* projection : {"q_proj", "k_proj"})
    clear("model.layers.1.self_attn." + std::string(projection) + ".bias", kNone);
  clear("model.layers.1.self_attn.v_proj.bias", 2);
  const Weights weights = load_weights(*checkpoint, at::kCPU, at::kBFloat16);
  EXPECT_FALSE(weights.layers[0].qkv_bias.defined());
  EXPECT_FALSE(weights.layers[0].o_proj_bias.defined());
  EXPECT_TRUE(weights.layers[0].down_bias.defined());
  EXPECT_TRUE(weights.layers[1].qkv_bias.defined());
  EXPECT_TRUE(weights.layers[1].o_proj_bias.defined());
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

// Two terabytes that the file has, as a hole: refused before any of it is asked for.
TEST(Weights, F8_LargerThanMemory) {
  const test::TemporaryFolder folder;
  test::HfFolder model = test::tiny_hf("llama", false, false, {.layers = 1, .hidden = 8, .vocab = 10});
  model.config["vocab_size"] = 1 << 24;
  model.config["hidden_size"] = 1 << 16;
  model.config["head_dim"] = 4;
  model.config["tie_word_embeddings"] = true;
  std::string header = "{";
  std::uint64_t end = 0;
  for (const SafetensorsEntry& t : model.remove("lm_head.weight").tensors) {
    std::uint64_t bytes = 2;
    Json shape = Json::array();
    for (std::uint64_t extent : t.shape) {
      if (extent == 10) extent = 1 << 24;
      const bool heads = t.name.ends_with("q_proj.weight") && shape.empty();
      if (extent == 8 && !heads && !(t.name.ends_with("o_proj.weight") && !shape.empty())) extent = 1 << 16;
      shape.push_back(extent);
      bytes *= extent;
    }
    const Json entry = {{"dtype", "BF16"}, {"shape", shape}, {"data_offsets", {end, end + bytes}}};
    header += (end == 0 ? "\"" : ",\"") + t.name + "\":" + entry.dump();
    end += bytes;
  }
  header += "}";
  folder.write("config.json", model.config.dump());
  const std::string path =
      folder.write("model.safetensors", test::bytes_of(std::uint64_t{header.size()}) + header);
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(8 + header.size() + end)), 0);
  const auto checkpoint = Checkpoint::open(folder.path());
  const auto error = error_of([&] { load_weights(*checkpoint, at::kCPU, at::kBFloat16); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "limit.memory");
  EXPECT_EQ(error->file, folder.path());
  EXPECT_TRUE(error->found.starts_with("2097")) << error->found;  // 2^21 MiB and a little
}

TEST(Weights, F8_JustFits) {
  const std::vector<TensorSpec> table = {{TensorRole::embedding, -1, "a", "a", {3, 4}},
                                         {TensorRole::final_norm, -1, "b", "b", {4}}};
  const auto code = [&](std::uint64_t available, std::optional<std::uint64_t> limit) {
    return code_of([&] {
      check_memory(table, at::kFloat, {.total = 1 << 20, .available = available, .limit = limit}, "m");
    });
  };
  EXPECT_EQ(code(64, {}), "no error");
  EXPECT_EQ(code(63, {}), "limit.memory");
  EXPECT_EQ(code(1000, 64), "no error");
  EXPECT_EQ(code(1000, 63), "limit.memory");
  EXPECT_EQ(code(0, {}), "no error");  // the system does not say
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
