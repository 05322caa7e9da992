// Adapters sound and broken; test names start with the row of the threat table (docs/threat-model.md).
#include "formats/lora.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "formats/lora_config.h"
#include "safetylock/log.h"
#include "support/errors.h"
#include "support/lora_folder.h"

namespace safetylock {
namespace {

using Adapter = test::LoraFolder;

std::string with(const std::string& key, const Json& value) {
  Adapter a;
  a.config[key] = value;
  return a.code();
}

const std::string kQ0 = "base_model.model.model.layers.0.self_attn.q_proj";

TEST(Lora, ReadsModulesAndScale) {
  const LoraAdapter a = Adapter().load();
  EXPECT_EQ(a.base_model, "tiny");
  ASSERT_EQ(a.modules.size(), 4U);
  const LoraModule* m = a.find("model.layers.0.self_attn.v_proj.weight");
  ASSERT_NE(m, nullptr);
  EXPECT_EQ(m->rank, 2U);
  EXPECT_EQ(m->in_features, 8U);
  EXPECT_EQ(m->out_features, 4U);
  EXPECT_EQ(m->scale, 4.0);
  EXPECT_EQ(m->a, test::tiny_values(16, 3));
  EXPECT_EQ(m->b, test::tiny_values(8, 4));
  EXPECT_EQ(a.find("model.layers.0.self_attn.o_proj.weight"), nullptr);
  EXPECT_EQ(a.find("model.layers.0.self_attn.v_proj.bias"), nullptr);
  EXPECT_EQ(Adapter().code(), "no error");
}

TEST(Lora, L10_RankStabilisedScale) {
  Adapter a;
  a.config["use_rslora"] = true;
  EXPECT_EQ(a.load().modules[0].scale, 8.0 / std::sqrt(2.0));
}

TEST(Lora, L10_PatternsMatchPathsAndTheirEnds) {
  Adapter a;
  a.config["rank_pattern"] = {
      {"layers.1.self_attn.q_proj", 4}, {"q_proj", 3}, {"proj", 9}, {"model.layers.0.self_attn.v_proj", 1}};
  a.config["alpha_pattern"] = {{"v_proj", 16}};
  a.tensors.clear();
  a.add("model.layers.0.self_attn.q_proj", 3, 8, 8);
  a.add("model.layers.0.self_attn.v_proj", 1, 8, 4);
  a.add("model.layers.1.self_attn.q_proj", 4, 8, 8);
  a.add("model.layers.1.self_attn.v_proj", 2, 8, 4);
  const LoraAdapter loaded = a.load();
  EXPECT_EQ(loaded.find("model.layers.0.self_attn.q_proj.weight")->scale, 8.0 / 3);
  EXPECT_EQ(loaded.find("model.layers.0.self_attn.v_proj.weight")->scale, 16.0);
  EXPECT_EQ(loaded.find("model.layers.1.self_attn.q_proj.weight")->scale, 2.0);
  EXPECT_EQ(loaded.find("model.layers.1.self_attn.v_proj.weight")->scale, 8.0);
  EXPECT_EQ(with("rank_pattern", {{"layers.[01].q_proj", 2}}), "lora.unsupported");
  EXPECT_EQ(with("alpha_pattern", {{"^model.*", 2}}), "lora.unsupported");
}

TEST(Lora, ModulesToSaveReplaceWholeTensors) {
  Adapter a;
  a.config["modules_to_save"] = {"lm_head"};
  a.tensor("base_model.model.lm_head.weight", {10, 8});
  const LoraAdapter loaded = a.load();
  ASSERT_EQ(loaded.replacements.size(), 1U);
  const LoraReplacement* r = loaded.find_replacement("lm_head.weight");
  ASSERT_NE(r, nullptr);
  EXPECT_EQ(r->values, test::tiny_values(80, 9));
  EXPECT_EQ(a.code(), "no error");
  a.tensors.pop_back();
  EXPECT_EQ(a.code(), "lora.partial");
}

TEST(Lora, OwnCopiesAreToldFromSavedTensorsOfTheBase) {
  Adapter a;
  a.config["modules_to_save"] = {"lm_head"};
  a.tensor("base_model.model.lm_head.weight", {10, 8});
  a.tensor("base_model.model.model.embed_tokens.weight", {10, 8});
  const LoraAdapter loaded = a.load();
  EXPECT_TRUE(loaded.find_replacement("lm_head.weight")->own_copy);
  EXPECT_FALSE(loaded.find_replacement("model.embed_tokens.weight")->own_copy);
}

TEST(Lora, TensorUnderAnAdaptedLayer) {
  Adapter a;
  a.config["target_modules"] = {"q_proj", "v_proj", "lm_head"};
  a.add("lm_head", 2, 8, 12);
  EXPECT_EQ(a.code(), "lora.shape") << "12 rows, 10 in the base";
  a.tensor("base_model.model.lm_head.base_layer.weight", {12, 8});
  EXPECT_EQ(a.code(), "no error");
  const LoraAdapter loaded = a.load();
  ASSERT_NE(loaded.find_replacement("lm_head.weight"), nullptr);
  EXPECT_NE(loaded.find("lm_head.weight"), nullptr);
  a.tensor("base_model.model.lm_head.weight", {12, 8});
  EXPECT_EQ(a.code(), "lora.duplicate");  // L13
}

TEST(Lora, L13_SavedModuleOfAResizedModelIsThereThreeTimes) {
  Adapter a;
  a.config["modules_to_save"] = {"lm_head"};
  a.tensor("base_model.model.lm_head.original_module.weight", {12, 8});
  a.tensor("base_model.model.lm_head.weight", {12, 8});
  a.tensor("base_model.model.lm_head.modules_to_save.weight", {12, 8});
  EXPECT_EQ(a.code(), "lora.duplicate") << "the copy and its second copy differ";
  a.tensors.back().bytes = a.tensors[a.tensors.size() - 2].bytes;
  EXPECT_EQ(a.code(), "no error");
  const LoraAdapter loaded = a.load();
  ASSERT_EQ(loaded.replacements.size(), 2U);
  EXPECT_TRUE(loaded.find_replacement("lm_head.weight")->own_copy);
  EXPECT_FALSE(loaded.find_replacement("lm_head.weight", false)->own_copy);
  a.tensors.erase(a.tensors.end() - 2);
  EXPECT_EQ(a.code(), "lora.duplicate") << "the second copy alone, which PEFT does not read";
}

TEST(Lora, OnlyTheVocabularyMayBeResized) {
  Adapter a;
  a.tensor("base_model.model.model.norm.weight", {9});
  EXPECT_EQ(a.code(), "lora.shape");
  for (const std::vector<std::uint64_t>& bad :
       {std::vector<std::uint64_t>{12, 7}, {12}, {0, 8}, {12, 8, 1}}) {
    a = Adapter();
    a.tensor("base_model.model.lm_head.weight", bad);
    EXPECT_EQ(a.code(), "lora.shape") << bad.size();
  }
}

TEST(Lora, L1_Config) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(test::code_of([&] { (void)load_lora(folder.path()); }), "lora.config");
  folder.write("adapter_config.json", "<!DOCTYPE html>");
  EXPECT_EQ(test::code_of([&] { (void)load_lora(folder.path()); }), "io.wrong_format");  // F12
  EXPECT_EQ(with("peft_type", "IA3"), "lora.config");
  EXPECT_EQ(with("peft_type", nullptr), "lora.config");
  EXPECT_EQ(with("target_modules", {1, 2}), "lora.config");
}

TEST(Lora, L2_Rank) {
  for (const Json& bad : {Json(0), Json(-1), Json(2.5), Json("2"), Json(nullptr), Json(1 << 20)}) {
    EXPECT_EQ(with("r", bad), "lora.rank") << bad.dump();
  }
  EXPECT_EQ(with("rank_pattern", {{"q_proj", 0}}), "lora.rank");
  Adapter a;
  a.config["r"] = 3;
  const auto e = a.error();
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "lora.rank");
  EXPECT_EQ(e->where, "module \"model.layers.0.self_attn.q_proj\"");
  EXPECT_EQ(e->expected, "A [3, in] and B [out, 3], as the config says");
  EXPECT_EQ(e->found, "A [2, 8], B [8, 2]");
}

TEST(Lora, L3_Alpha) {
  for (const Json& bad : {Json(0), Json(-1), Json("8"), Json(nullptr), Json(true)}) {
    EXPECT_EQ(with("lora_alpha", bad), "lora.alpha") << bad.dump();
  }
  EXPECT_EQ(with("alpha_pattern", {{"q_proj", 0}}), "lora.alpha");
}

TEST(Lora, L4_HalfAPair) {
  Adapter a;
  a.remove(kQ0 + ".lora_B");
  EXPECT_EQ(a.code(), "lora.pair");
  a = Adapter();
  a.remove(kQ0 + ".lora_A");
  EXPECT_EQ(a.code(), "lora.pair");
}

TEST(Lora, L5_ModuleNotInTheBaseNamesTheNearest) {
  Adapter a;
  a.add("model.layers.0.self_attn.qproj", 2, 8, 8);
  const auto e = a.error();
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "lora.target");
  EXPECT_NE(e->found.find("\"model.layers.0.self_attn.q_proj.weight\""), std::string::npos) << e->found;
  a = Adapter();
  a.add("model.layers.2.self_attn.q_proj", 2, 8, 8);
  EXPECT_EQ(a.code(), "lora.target");
}

TEST(Lora, L6_Shapes) {
  Adapter a;
  a.at(kQ0 + ".lora_A.weight").shape = {2, 8, 1};
  EXPECT_EQ(a.code(), "lora.shape");
  a = Adapter();
  std::swap(a.at(kQ0 + ".lora_A.weight").bytes, a.at(kQ0 + ".lora_B.weight").bytes);
  std::swap(a.at(kQ0 + ".lora_A.weight").shape, a.at(kQ0 + ".lora_B.weight").shape);
  EXPECT_EQ(a.code(), "lora.rank");  // A is [8, 2] where the rank is 2
  a = Adapter();
  a.at(kQ0 + ".lora_B.weight") =
      SafetensorsEntry::f32(kQ0 + ".lora_B.weight", {9, 2}, test::tiny_values(18, 1));
  EXPECT_EQ(a.code(), "lora.shape");
  a = Adapter();
  a.at(kQ0 + ".lora_A.weight") =
      SafetensorsEntry::f32(kQ0 + ".lora_A.weight", {2, 7}, test::tiny_values(14, 1));
  EXPECT_EQ(a.code(), "lora.shape");
}

TEST(Lora, L7_NoEffect) {
  Adapter a;
  a.tensors.clear();
  EXPECT_EQ(a.code(), "lora.no_effect");
  a = Adapter();
  for (auto& t : a.tensors) {
    if (t.name.ends_with("lora_B.weight")) t.bytes.assign(t.bytes.size(), '\0');
  }
  EXPECT_EQ(a.code(), "lora.no_effect");  // saved before training
}

TEST(Lora, L8_Partial) {
  EXPECT_EQ(with("target_modules", {"q_proj", "v_proj", "o_proj"}), "lora.partial");
  EXPECT_EQ(with("target_modules", "all-linear"), "lora.partial");
  EXPECT_EQ(with("target_modules", ".*self_attn.(q|v)_proj"), "no error");
  Adapter a;
  a.remove("layers.1.self_attn.q_proj");
  EXPECT_EQ(a.code(), "lora.partial");
  a.config["layers_to_transform"] = {0};
  EXPECT_EQ(a.code(), "no error");
}

TEST(Lora, L9_UnsupportedKindsAreNamed) {
  const std::pair<const char*, Json> kinds[] = {{"use_dora", true},
                                                {"layer_replication", {{0, 1}}},
                                                {"target_parameters", {"x"}},
                                                {"bias", "all"},
                                                {"bias", "lora_only"},
                                                {"alora_invocation_tokens", {1}},
                                                {"use_qalora", true},
                                                {"use_bdlora", {{"x", 1}}},
                                                {"trainable_token_indices", {1}},
                                                {"fan_in_fan_out", true},
                                                {"lora_bias", true},
                                                {"init_lora_weights", "pissa_niter_4"},
                                                {"some_new_kind", true}};
  for (const auto& [key, value] : kinds) {
    Adapter a;
    a.config[key] = value;
    const auto e = a.error();
    ASSERT_TRUE(e) << key;
    EXPECT_EQ(e->code, "lora.unsupported") << key;
    EXPECT_EQ(e->where, "/" + std::string(key));
  }
  EXPECT_EQ(with("use_dora", false), "no error");
  EXPECT_EQ(with("layer_replication", nullptr), "no error");
  EXPECT_EQ(with("loftq_config", Json::object()), "no error");
  EXPECT_EQ(with("init_lora_weights", "gaussian"), "no error");
  Adapter a;
  a.tensor(kQ0 + ".lora_magnitude_vector", {8});
  const auto e = a.error();
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "lora.unsupported");
  EXPECT_EQ(e->found, "DoRA");
  a = Adapter();
  a.tensor("base_model.model.model.embed_tokens.lora_embedding_A", {2, 10});
  EXPECT_EQ(a.code(), "lora.unsupported");
  a = Adapter();
  a.add("model.embed_tokens", 2, 8, 10);
  EXPECT_EQ(a.code(), "lora.unsupported");
}

TEST(Lora, L11_NamedBaseIsRecordedAndNoted) {
  std::string notes;
  set_log_sink(LogLevel::info, [&](LogLevel, std::string_view line) { notes += line; });
  Adapter a;
  a.config["base_model_name_or_path"] = "org/another\x1b[31m";
  EXPECT_EQ(a.code(), "no error");
  set_log_sink(LogLevel::warning, nullptr);
  EXPECT_EQ(a.load().base_model, "org/another\x1b[31m");
  EXPECT_NE(notes.find("made for org/another\\x1B[31m"), std::string::npos) << notes;
}

TEST(Lora, L12_PicklesAreRefused) {
  const test::TemporaryFolder folder;
  folder.write("adapter_config.json", Adapter().config.dump());
  EXPECT_EQ(test::code_of([&] { (void)load_lora(folder.path()); }), "io.open");
  folder.write("adapter_model.bin", "x");
  EXPECT_EQ(test::code_of([&] { (void)load_lora(folder.path()); }), "lora.pickle_refused");
}

TEST(Lora, L13_DuplicateAfterPrefixStripping) {
  Adapter a;
  a.tensor("model.layers.0.self_attn.q_proj.lora_A.weight", {2, 8});
  EXPECT_EQ(a.code(), "lora.duplicate");
}

TEST(Lora, L14_ValuesThatAreNotFinite) {
  Adapter a;
  std::vector<float> v = test::tiny_values(16, 1);
  v[3] = std::numeric_limits<float>::quiet_NaN();
  a.at(kQ0 + ".lora_A.weight") = SafetensorsEntry::f32(kQ0 + ".lora_A.weight", {2, 8}, v);
  EXPECT_EQ(a.code(), "num.nonfinite");
}

TEST(Lora, MatchingIsByWholePathParts) {
  EXPECT_TRUE(matches_module("q_proj", "a.q_proj"));
  EXPECT_TRUE(matches_module("a.q_proj", "a.q_proj"));
  EXPECT_FALSE(matches_module("proj", "a.q_proj"));
  EXPECT_FALSE(matches_module("b.a.q_proj", "a.q_proj"));
}

}  // namespace
}  // namespace safetylock
