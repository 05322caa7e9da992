// What a family's config.json may say, and what is refused because only a part of it would be obeyed.
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "formats/hf_config.h"
#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

/// The config of a tiny model of tests/golden/model after one change: its error's code.
std::string with(const std::string& model, const std::string& key, const Json& value) {
  const std::string path =
      std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/model/" + model + "/config.json";
  Json config = Json::parse(read_file(path, 1 << 20));
  config[Json::json_pointer(key)] = value;
  const test::TemporaryFolder folder;
  folder.write("config.json", config.dump());
  return test::code_of([&] { read_hf_config(folder.path()); });
}

// The names are those of the HF config classes; each row changes what a model would compute.
TEST(FamilyConfig, C5_NamesOfOneFamily) {
  EXPECT_EQ(with("gemma3", "/architectures", {"Gemma3ForConditionalGeneration"}), "cfg.unsupported");
  EXPECT_EQ(with("gemma3", "/model_type", "gemma3"), "cfg.unsupported");
  EXPECT_EQ(with("qwen3", "/model_type", "qwen2"), "cfg.unsupported");
}

TEST(FamilyConfig, C12_Numbers) {
  EXPECT_EQ(with("gemma2", "/query_pre_attn_scalar", 0), "cfg.range");
  EXPECT_EQ(with("gemma2", "/attn_logit_softcapping", -50.0), "cfg.range");
  EXPECT_EQ(with("gemma2", "/final_logit_softcapping", "30"), "cfg.type");
  EXPECT_EQ(with("gemma2", "/sliding_window", 0), "cfg.range");
  EXPECT_EQ(with("gemma3", "/rope_parameters/sliding_attention/rope_theta", 0), "cfg.range");
  EXPECT_EQ(with("phi4_mini", "/rope_parameters/partial_rotary_factor", 0.01), "cfg.range");
  EXPECT_EQ(with("phi4_mini", "/rope_parameters/partial_rotary_factor", 1.5), "cfg.range");
  EXPECT_EQ(with("phi4_mini", "/rope_parameters/partial_rotary_factor", 0.375), "cfg.range");  // odd
}

TEST(FamilyConfig, C13_RotaryKinds) {
  EXPECT_EQ(with("phi3", "/rope_parameters/rope_type", "linear"), "cfg.unsupported");
  EXPECT_EQ(with("phi4_mini", "/rope_parameters/long_factor", {1.0}), "cfg.range");
  EXPECT_EQ(with("phi4_mini", "/rope_parameters/short_factor", {1.0, "2"}), "cfg.range");
  EXPECT_EQ(with("phi4_mini", "/rope_parameters/short_factor", {1.0, 0.0}), "cfg.range");
  EXPECT_EQ(with("qwen3", "/rope_parameters/rope_type", "longrope"), "cfg.unsupported");
  EXPECT_EQ(with("qwen3", "/rope_parameters/partial_rotary_factor", 0.5), "cfg.unsupported");
  EXPECT_EQ(with("gemma3", "/rope_parameters/sliding_attention/rope_type", "linear"), "cfg.unsupported");
  EXPECT_EQ(with("gemma3", "/rope_parameters/chunked_attention", Json::object()), "cfg.unsupported");
  EXPECT_EQ(with("gemma3", "/rope_local_base_freq", 5.0), "cfg.conflict");  // 100 in rope_parameters
}

TEST(FamilyConfig, C15_WhatOnlySomeEnginesWouldObey) {
  EXPECT_EQ(with("mistral", "/attention_bias", true), "cfg.unsupported");
  EXPECT_EQ(with("phi3", "/attention_bias", true), "cfg.unsupported");
  EXPECT_EQ(with("gemma3", "/attn_logit_softcapping", 50.0), "cfg.unsupported");
  EXPECT_EQ(with("qwen3", "/final_logit_softcapping", 30.0), "cfg.unsupported");
  EXPECT_EQ(with("gemma3", "/use_bidirectional_attention", true), "cfg.unsupported");
  EXPECT_EQ(with("gemma2", "/hidden_activation", "silu"), "cfg.unsupported");
  EXPECT_EQ(with("gemma", "/hidden_act", "gelu"), "no error");  // an old name of the same function
  EXPECT_EQ(with("phi3", "/hidden_act", "gelu"), "cfg.unsupported");
  EXPECT_EQ(with("gemma", "/mlp_bias", true), "cfg.unsupported");
}

TEST(FamilyConfig, C15_KindsOfLayers) {
  const Json mixed = {"sliding_attention", "full_attention"};
  EXPECT_EQ(with("mistral_window", "/layer_types", mixed), "cfg.unsupported");
  EXPECT_EQ(with("mistral_window", "/layer_types", {"sliding_attention", "sliding_attention"}), "no error");
  EXPECT_EQ(with("mistral_window", "/layer_types", {"full_attention", "full_attention"}), "cfg.unsupported");
  EXPECT_EQ(with("qwen2_window", "/layer_types", {"chunked_attention", "x", "x"}), "cfg.unsupported");
  EXPECT_EQ(with("qwen2_window", "/layer_types", mixed), "cfg.layers");  // of 3 layers
  EXPECT_EQ(with("qwen2_window", "/use_sliding_window", false), "cfg.conflict");
  EXPECT_EQ(with("gemma2", "/sliding_window", nullptr), "cfg.conflict");
  EXPECT_EQ(with("smollm3", "/no_rope_layers", {1, 0}), "cfg.layers");
  EXPECT_EQ(with("smollm3", "/no_rope_layers", {1, 0, 2}), "cfg.layers");
}

}  // namespace
}  // namespace safetylock
