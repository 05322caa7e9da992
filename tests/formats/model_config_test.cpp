#include "safetylock/model_config.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"

namespace safetylock {
namespace {

ModelConfig sound() {
  ModelConfig c;
  c.architecture = "LlamaForCausalLM";
  c.model_type = "llama";
  c.num_hidden_layers = 2;
  c.hidden_size = 8;
  c.intermediate_size = 12;
  c.num_attention_heads = 2;
  c.num_key_value_heads = 1;
  c.head_dim = 4;
  c.vocab_size = 10;
  c.max_position_embeddings = 64;
  c.eos_token_ids = {2};
  return c;
}

template <typename Change>
std::string code(Change change) {
  ModelConfig c = sound();
  change(c);
  return test::code_of([&] { validate(c, "config.json"); });
}

TEST(Validate, SoundConfig) {
  EXPECT_EQ(code([](ModelConfig&) {}), "no error");
  EXPECT_EQ(code([](ModelConfig& c) { c.head_dim = 6; }), "no error");  // H*D need not be E
}

TEST(Validate, ArchitectureAndModelTypeBelongTogether) {
  EXPECT_EQ(code([](ModelConfig& c) { c.model_type = "qwen2"; }), "cfg.unsupported");
  EXPECT_EQ(code([](ModelConfig& c) { c.architecture = "X"; }), "cfg.unsupported");
}

TEST(Validate, EveryNumberHasARange) {
  for (std::int64_t ModelConfig::*field :
       {&ModelConfig::num_hidden_layers, &ModelConfig::hidden_size, &ModelConfig::intermediate_size,
        &ModelConfig::head_dim, &ModelConfig::vocab_size, &ModelConfig::max_position_embeddings}) {
    for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 40}) {
      EXPECT_EQ(code([&](ModelConfig& c) { c.*field = bad; }), "cfg.range");
    }
  }
  for (double ModelConfig::*field : {&ModelConfig::rms_norm_eps, &ModelConfig::rope_theta}) {
    for (const double bad :
         {0.0, -1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
      EXPECT_EQ(code([&](ModelConfig& c) { c.*field = bad; }), "cfg.range");
    }
  }
  EXPECT_EQ(code([](ModelConfig& c) { c.head_dim = 5; }), "cfg.range");
}

TEST(Validate, Heads) {
  EXPECT_EQ(code([](ModelConfig& c) { c.num_attention_heads = 0; }), "cfg.heads");
  EXPECT_EQ(code([](ModelConfig& c) { c.num_key_value_heads = 0; }), "cfg.kv_heads");
  EXPECT_EQ(code([](ModelConfig& c) { c.num_key_value_heads = 4; }), "cfg.kv_heads");
  EXPECT_EQ(code([](ModelConfig& c) { c.num_key_value_heads = -1; }), "cfg.kv_heads");
}

TEST(Validate, RopeScaling) {
  const auto rope = [](RopeScaling r) { return code([&](ModelConfig& c) { c.rope_scaling = r; }); };
  using Type = RopeScaling::Type;
  EXPECT_EQ(rope({.type = Type::linear, .factor = 2, .frequency_divisors = {}}), "no error");
  EXPECT_EQ(rope({.type = Type::linear, .factor = 0, .frequency_divisors = {}}), "cfg.range");
  EXPECT_EQ(rope({.type = Type::llama3, .factor = 8, .frequency_divisors = {}}), "no error");
  EXPECT_EQ(rope({.type = Type::llama3,
                  .factor = 8,
                  .low_freq_factor = 4,
                  .high_freq_factor = 4,
                  .frequency_divisors = {}}),
            "cfg.range");
  EXPECT_EQ(rope({.type = Type::llama3, .frequency_divisors = {1, 2}}), "no error");
  EXPECT_EQ(rope({.type = Type::llama3, .frequency_divisors = {1, 2, 3}}), "cfg.range");
  EXPECT_EQ(rope({.type = Type::llama3, .frequency_divisors = {1, -2}}), "cfg.range");
}

TEST(Validate, TokenIds) {
  EXPECT_EQ(code([](ModelConfig& c) { c.bos_token_id = 10; }), "cfg.token_id");
  EXPECT_EQ(code([](ModelConfig& c) { c.eos_token_ids = {2, -1}; }), "cfg.token_id");
}

TEST(CanonicalText, SaysWhatAFineTuneKeeps) {
  EXPECT_EQ(canonical_text(sound()),
            "LlamaForCausalLM num_hidden_layers=2 hidden_size=8 intermediate_size=12 num_attention_heads=2 "
            "num_key_value_heads=1 head_dim=4 rope_theta=10000 rope_scaling=none");
}

TEST(CanonicalText, IsBlindToWhatFineTuningOrBakingMayChange) {
  ModelConfig c = sound();
  c.vocab_size = 12;
  c.attention_bias = c.attention_out_bias = true;
  c.tie_word_embeddings = true;
  c.eos_token_ids = {2, 3};
  c.rms_norm_eps = 2e-6;
  EXPECT_EQ(canonical_text(c), canonical_text(sound()));
}

TEST(CanonicalText, GgufAndConfigJsonAgreeOnFloats) {
  ModelConfig gguf = sound();
  gguf.rope_theta = double{1234.56F};  // GGUF stores float32
  ModelConfig json = sound();
  json.rope_theta = 1234.56;
  EXPECT_EQ(canonical_text(gguf), canonical_text(json));
}

TEST(CanonicalText, SeesEveryDimension) {
  for (std::int64_t ModelConfig::*field :
       {&ModelConfig::num_hidden_layers, &ModelConfig::hidden_size, &ModelConfig::intermediate_size,
        &ModelConfig::num_attention_heads, &ModelConfig::num_key_value_heads, &ModelConfig::head_dim}) {
    ModelConfig c = sound();
    c.*field += 1;
    EXPECT_NE(canonical_text(c), canonical_text(sound()));
  }
  ModelConfig c = sound();
  c.rope_scaling.type = RopeScaling::Type::llama3;  // Llama 3.1 against 3: equal shapes, another model
  EXPECT_NE(canonical_text(c), canonical_text(sound()));
}

}  // namespace
}  // namespace safetylock
