// Locked models, and every way in which one is not.
#include "safetylock/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "bake/baked_folder.h"
#include "formats/checkpoint.h"
#include "support/errors.h"
#include "support/gguf_builder.h"

namespace safetylock::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

VerifyReport verify(const BakedFolder& baked, const VerifyOptions& options = {}) {
  return verify_lock(baked.path(), baked.lock, options);
}

// lock_for() has heads in layers 0 and 1.
TEST(VerifyWeights, EveryFamilyThatIsBakedIsLocked) {
  for (const char* name : {"llama_gqa", "llama_head_dim", "llama_tied", "qwen2", "qwen3", "mistral", "gemma",
                           "gemma2", "gemma3", "smollm3"}) {
    const BakedFolder baked(name);
    const VerifyReport report = verify(baked);
    EXPECT_EQ(report.verdict, LockVerdict::locked) << name << testing::PrintToString(report.reasons);
    EXPECT_NEAR(report.measured_strength.value(), 3.0, 0.01) << name;
    EXPECT_THAT(report.reasons, IsEmpty()) << name;
    EXPECT_FALSE(report.engines.empty()) << name;
  }
}

TEST(VerifyWeights, TheSourceIsNotLocked) {
  const BakedFolder baked("llama_gqa");
  const VerifyReport report = verify_lock(baked.source, baked.lock);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("dropped, or never baked")));
}

TEST(VerifyWeights, OneLayerDropped) {
  const BakedFolder baked("llama_gqa");
  baked.change_bias(1, [](float) { return 0.0F; });
  const VerifyReport report = verify(baked);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, testing::ElementsAre("layer 1: the lock was dropped"));
}

struct Factor {
  float factor;
  const char* word;
};
class WrongStrength : public testing::TestWithParam<Factor> {};
TEST_P(WrongStrength, IsFoundInEachLayerAndMeasured) {
  for (const char* name : {"llama_gqa", "qwen2"}) {  // float32 and bfloat16
    const BakedFolder baked(name);
    for (const std::int64_t layer : {0, 1})
      baked.change_bias(layer, [](float v) { return v * GetParam().factor; });
    const VerifyReport report = verify(baked);
    EXPECT_EQ(report.verdict, LockVerdict::not_locked) << name;
    EXPECT_NEAR(report.measured_strength.value(), 3.0 * GetParam().factor, 0.05) << name;
    EXPECT_THAT(report.reasons, Contains(HasSubstr(std::string("layer 0: strength")))) << name;
    EXPECT_THAT(report.reasons, Contains(HasSubstr(GetParam().word))) << name;
  }
}
INSTANTIATE_TEST_SUITE_P(Factors, WrongStrength,
                         testing::Values(Factor{0.5F, "halved"}, Factor{2.0F, "doubled"},
                                         Factor{-1.0F, "other sign"}, Factor{0.9F, "in place of 3"},
                                         Factor{1.0625F, "in place of 3"}));

TEST(VerifyWeights, TheVectorOfAnotherLayer) {
  const BakedFolder baked("llama_gqa");
  EditableShard shard = baked.biases();
  std::swap(shard.at(o_bias_name(1)).bytes, shard.at(o_bias_name(2)).bytes);  // layer 2 is not locked
  shard.write();
  const VerifyReport report = verify(baked);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, Contains("layer 1: the lock was dropped"));
  EXPECT_THAT(report.reasons, Contains("layer 2: the vector of layer 1, where the lock has none"));
}

TEST(VerifyWeights, TwoLayersSwapped) {
  const BakedFolder baked("llama_gqa");
  EditableShard shard = baked.biases();
  std::swap(shard.at(o_bias_name(0)).bytes, shard.at(o_bias_name(1)).bytes);
  shard.write();
  EXPECT_THAT(verify(baked).reasons,
              testing::ElementsAre("layer 0: the vector of layer 1", "layer 1: the vector of layer 0"));
}

TEST(VerifyWeights, AnotherLockOfTheSameModel) {
  const BakedFolder baked("llama_gqa");
  const SafetyLock other = lock_for(ModelTensors::open(baked.source)->config(), {{0, 1}, {1, 2}}, 5);
  const VerifyReport report = verify_lock(baked.path(), other);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("not this lock's vector")));
  EXPECT_THAT(report.reasons, Contains(HasSubstr("another lock")));
}

// Without a free layer to show what the model itself has there, only its record or its base tells that the
// biases are another lock's and no biases of its own with this lock on top.
TEST(VerifyWeights, AnotherLockInEveryLayer) {
  const BakedFolder baked("llama_gqa");
  const ModelConfig config = ModelTensors::open(baked.source)->config();
  std::vector<HeadId> everywhere;
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) everywhere.push_back({l, l % 2});
  const std::string path = baked.file("everywhere");
  bake_lock(baked.source, lock_for(config, everywhere, 5), path);
  const SafetyLock asked = lock_for(config, everywhere, 6);
  const VerifyReport report = verify_lock(path, asked);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("another lock")));
  JsonTree json = parse_json(read_all(path + "/config.json"), "config.json");
  (*json).erase("safetylock");
  std::ofstream(path + "/config.json") << json->dump();
  EXPECT_EQ(verify_lock(path, asked).verdict, LockVerdict::cannot_tell);
  EXPECT_EQ(verify_lock(path, asked, {.base = baked.source}).verdict, LockVerdict::not_locked);
}

TEST(VerifyWeights, TheLockOfAnotherModel) {
  const BakedFolder baked("llama_gqa");
  const SafetyLock other = lock_for(ModelTensors::open(tiny_folder("llama_head_dim"))->config());
  const VerifyReport report = verify_lock(baked.path(), other);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("the lock is of another model")));
}

TEST(VerifyWeights, AConfigThatLeavesTheBiasesUnread) {
  const BakedFolder baked("llama_gqa");
  baked.change_config([](Json& c) { c["attention_bias"] = false; });
  const VerifyReport report = verify(baked);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("attention_bias: true")));
}

TEST(VerifyWeights, AClassWithoutThatBias) {
  const BakedFolder baked("qwen2");
  baked.change_config([](Json& c) {
    c["architectures"] = Json::array({"Qwen2ForCausalLM"});
    c["model_type"] = "qwen2";
  });
  const VerifyReport report = verify(baked);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("Qwen2ForCausalLM has no bias on o_proj")));
}

// As a tool that knows nothing of classes leaves a model: the vectors in o_proj.bias, the class as it was.
TEST(VerifyWeights, BiasesInAClassThatReadsNone) {
  for (const bool announced : {true, false}) {
    for (const char* name : {"mistral", "mistral_window", "phi3", "phi4_mini", "qwen2", "qwen2_window"}) {
      const WithLooseBiases made(name, announced);
      const VerifyReport report = verify_lock(made.path(), made.lock);
      EXPECT_EQ(report.verdict, LockVerdict::not_locked) << name;
      EXPECT_THAT(report.reasons,
                  testing::ElementsAre(HasSubstr(" has no bias on o_proj: engines drop it in silence")))
          << name << testing::PrintToString(report.reasons);
      EXPECT_TRUE(report.engines.empty()) << name;
    }
  }
}

// The key alone, and Qwen3, whose class reads the biases once the key is there.
TEST(VerifyWeights, TheKeyDecidesOnlyWhereTheClassObeysIt) {
  const WithLooseBiases mistral("mistral", true, /*with_biases=*/false);
  EXPECT_THAT(verify_lock(mistral.path(), mistral.lock).reasons,
              testing::ElementsAre(HasSubstr("dropped, or never baked")));
  const WithLooseBiases qwen3("qwen3", false);
  EXPECT_THAT(verify_lock(qwen3.path(), qwen3.lock).reasons,
              testing::ElementsAre(HasSubstr("does not say attention_bias: true")));
  // To everything else such a config stays what it was: one that engines read differently.
  EXPECT_EQ(code_of([&] { Checkpoint::open(mistral.path()); }), "cfg.unsupported");
}

TEST(VerifyWeights, MissingBiasesOfQAndV) {
  const BakedFolder baked("llama_gqa");
  EditableShard shard = baked.biases();
  std::erase_if(shard.tensors, [](const auto& t) { return t.name == projection_bias_name(2, 'q'); });
  shard.write();
  JsonTree index = parse_json(read_all(baked.file("model.safetensors.index.json")), "index");
  (*index)["weight_map"].erase(projection_bias_name(2, 'q'));
  (*index).erase("metadata");
  std::ofstream(baked.file("model.safetensors.index.json")) << index->dump();
  const VerifyReport report = verify(baked);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, testing::ElementsAre(HasSubstr("layer 2: no q_proj bias")));
}

TEST(VerifyWeights, NaN) {
  const BakedFolder baked("llama_gqa");
  baked.change_bias(1, [](float) { return std::numeric_limits<float>::quiet_NaN(); });
  const VerifyReport report = verify(baked);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, testing::ElementsAre(HasSubstr("layer 1: NaN")));
}

TEST(VerifyWeights, BiasesOfItsOwnNeedTheBase) {
  const BakedFolder baked("llama_biases");
  const VerifyReport blind = verify(baked);
  EXPECT_EQ(blind.verdict, LockVerdict::cannot_tell);
  EXPECT_THAT(blind.reasons, Contains(HasSubstr("--base")));
  const VerifyReport seeing = verify(baked, {.base = baked.source});
  EXPECT_EQ(seeing.verdict, LockVerdict::locked) << testing::PrintToString(seeing.reasons);
  const VerifyReport unlocked = verify_lock(baked.source, baked.lock, {.base = baked.source});
  EXPECT_EQ(unlocked.verdict, LockVerdict::not_locked);
}

TEST(VerifyWeights, AnotherStrengthIsNamedAndAccepted) {
  const BakedFolder baked("llama_gqa", "", 2.0);
  const VerifyReport report = verify(baked);
  EXPECT_EQ(report.verdict, LockVerdict::not_locked);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("baked with strength 2: --alpha accepts that")));
  EXPECT_EQ(verify(baked, {.alpha = 2.0}).verdict, LockVerdict::locked);
}

TEST(VerifyWeights, AnAdapterOnOProjIsPartOfTheModel) {
  const BakedFolder baked("llama_gqa", "llama_gqa_lora");
  EXPECT_EQ(verify(baked, {.adapter = tiny_folder("llama_gqa_lora")}).verdict, LockVerdict::locked);
  const VerifyReport without = verify(baked);
  EXPECT_EQ(without.verdict, LockVerdict::not_locked);
  EXPECT_THAT(without.reasons, Contains(HasSubstr("--adapter")));
  // And on a model that was baked without it, the lock is no longer exact.
  const BakedFolder plain("llama_gqa");
  EXPECT_EQ(verify(plain, {.adapter = tiny_folder("llama_gqa_lora")}).verdict, LockVerdict::not_locked);
}

// Biases of a baked GGUF file lie at its end: layer 0, then layer 1.
TEST(VerifyWeights, GgufFiles) {
  for (const char* arch : {"llama", "qwen2"}) {
    const TemporaryFolder folder;
    const std::string source = folder.write("m.gguf", tiny_gguf(arch).build()), baked = folder.path("b.gguf");
    const SafetyLock lock = lock_for(ModelTensors::open(source)->config());
    bake_lock(source, lock, baked);
    EXPECT_EQ(verify_lock(baked, lock).verdict, LockVerdict::locked) << arch;
    EXPECT_NEAR(verify_lock(baked, lock).measured_strength.value(), 3.0, 1e-4) << arch;
    EXPECT_EQ(verify_lock(source, lock).verdict, LockVerdict::not_locked) << arch;
    std::string bytes = read_all(baked);
    float last = 0;
    std::memcpy(&last, bytes.data() + bytes.size() - 4, 4);
    for (size_t at = bytes.size() - 8 * 4; at < bytes.size(); at += 4) {  // E values of layer 1
      float value = 0;
      std::memcpy(&value, bytes.data() + at, 4);
      value = -value;
      std::memcpy(bytes.data() + at, &value, 4);
    }
    EXPECT_NE(last, 0);
    const VerifyReport broken = verify_lock(folder.write("broken.gguf", bytes), lock);
    EXPECT_EQ(broken.verdict, LockVerdict::not_locked) << arch;
    EXPECT_THAT(broken.reasons, testing::ElementsAre(HasSubstr("layer 1: strength -3 in place of 3")))
        << arch;
  }
}

TEST(VerifyWeights, QuantisedFoldersCannotBeTold) {
  const BakedFolder baked("llama_gqa");
  baked.change_config([](Json& c) { c["quantization_config"] = {{"quant_method", "gptq"}}; });
  EXPECT_EQ(verify(baked).verdict, LockVerdict::cannot_tell);
}

TEST(VerifyWeights, StrengthZeroIsNoLock) {
  const BakedFolder baked("llama_gqa");
  EXPECT_EQ(code_of([&] { verify(baked, {.alpha = 0.0}); }), "arg.alpha");
}

}  // namespace
}  // namespace safetylock::test
