// Adapters sound and broken; test names start with the row of the threat table (docs/threat-model.md).
#include "formats/lora.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "formats/lora_config.h"
#include "support/errors.h"
#include "support/hf_folder.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

// An adapter on q_proj and v_proj of tiny_hf("llama"): 2 layers, hidden 8, q rows 8, v rows 4.
struct Adapter {
  Json config = {{"peft_type", "LORA"},
                 {"base_model_name_or_path", "tiny"},
                 {"r", 2},
                 {"lora_alpha", 8},
                 {"target_modules", {"q_proj", "v_proj"}},
                 {"bias", "none"},
                 {"fan_in_fan_out", false},
                 {"lora_dropout", 0.1},
                 {"use_rslora", false}};
  std::vector<SafetensorsEntry> tensors;

  Adapter() {
    for (const char* layer : {"0", "1"}) {
      add(std::string("model.layers.") + layer + ".self_attn.q_proj", 2, 8, 8);
      add(std::string("model.layers.") + layer + ".self_attn.v_proj", 2, 8, 4);
    }
  }
  void add(const std::string& module, std::uint64_t rank, std::uint64_t in, std::uint64_t out) {
    tensor("base_model.model." + module + ".lora_A.weight", {rank, in});
    tensor("base_model.model." + module + ".lora_B.weight", {out, rank});
  }
  void tensor(const std::string& name, std::vector<std::uint64_t> shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t n : shape) count *= n;
    tensors.push_back(SafetensorsEntry::f32(
        name, std::move(shape), test::tiny_values(count, static_cast<float>(tensors.size() + 1))));
  }
  SafetensorsEntry& at(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  }
  void remove(const std::string& part) {
    std::erase_if(tensors, [&](const auto& t) { return t.name.find(part) != std::string::npos; });
  }
  LoraAdapter load() const {
    const test::TemporaryFolder folder;
    folder.write("adapter_config.json", config.dump());
    folder.write("adapter_model.safetensors", safetensors_to_bytes(tensors, {{"format", "pt"}}));
    return load_lora(folder.path());
  }
  std::optional<ErrorFields> error(const test::HfFolder& base = test::tiny_hf("llama")) const {
    const test::TemporaryFolder folder;
    base.write(folder);
    const auto checkpoint = Checkpoint::open(folder.path());
    return test::error_of([&] { check_lora_fits(load(), checkpoint->tensors()); });
  }
  std::string code(const test::HfFolder& base = test::tiny_hf("llama")) const {
    const auto e = error(base);
    return e ? e->code : "no error";
  }
};

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
  a.tensors.back().shape = {8, 10};
  EXPECT_EQ(a.code(), "lora.shape");
  a.tensors.pop_back();
  EXPECT_EQ(a.code(), "lora.partial");
}

TEST(Lora, EmbeddingSharedWithTheOutputHeadIsRefused) {
  Adapter a;
  a.tensor("base_model.model.model.embed_tokens.weight", {10, 8});
  EXPECT_EQ(a.code(), "no error");
  test::HfFolder tied = test::tiny_hf("llama").remove("lm_head.weight");
  tied.config["tie_word_embeddings"] = true;
  EXPECT_EQ(a.code(tied), "lora.unsupported");
}

TEST(Lora, L1_Config) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(test::code_of([&] { (void)load_lora(folder.path()); }), "lora.config");
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
