// What bake_lock writes and refuses; that engines compute the same with it is in the scripts beside this.
#include "safetylock/bake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "bake/baked_folder.h"
#include "base/folder.h"
#include "formats/checkpoint.h"
#include "support/errors.h"

namespace safetylock::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

SafetyLock lock_of(const std::string& folder) {
  return lock_for(ModelTensors::open(folder)->config());
}

ino_t inode(const std::string& path) {
  struct stat st {};
  ::stat(path.c_str(), &st);
  return st.st_ino;
}

// A copy of a tiny model that may be changed.
class Copy {
 public:
  explicit Copy(const std::string& model) {
    for (const std::string& name : names_in(tiny_folder(model)))
      folder_.write("m/" + name, read_all(join_path(tiny_folder(model), name)));
  }
  std::string path() const { return folder_.path("m"); }
  std::string out() const { return folder_.path("out"); }
  void write(const std::string& name, const std::string& text) const { folder_.write("m/" + name, text); }
  void change_config(const std::function<void(Json&)>& change) const {
    JsonTree config = parse_json(read_all(join_path(path(), "config.json")), "config.json");
    change(*config);
    write("config.json", config->dump());
  }
  std::vector<std::string> left_behind() const { return names_in(folder_.path()); }
  BakeReport bake(BakeOptions options = {}) const {
    return bake_lock(path(), lock_of(path()), out(), options);
  }
  std::string refusal() const {
    return code_of([&] { bake(); });
  }

 private:
  TemporaryFolder folder_;
};

TEST(Bake, WritesAWholeFolderAndNothingElse) {
  const Copy model("qwen2");
  model.write("LICENSE", "terms");
  model.write("empty.txt", "");
  model.write("pytorch_model.bin", "unlocked weights in another form");
  model.write("modeling_custom.py", "code");
  model.write(".cache", "x");
  const BakeReport report = model.bake({.make_probes = [] { return std::string("{}\n"); }});
  EXPECT_THAT(names_in(model.out()),
              ElementsAre("LICENSE", "README.md", "chat_template.jinja", "config.json", "empty.txt",
                          "generation_config.json", "model-00001-of-00002.safetensors",
                          "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                          "tokenizer.json", "tokenizer_config.json", "verify.json"));
  EXPECT_THAT(model.left_behind(), ElementsAre("m", "out"));
  EXPECT_EQ(read_all(join_path(model.out(), "verify.json")), "{}\n");
  EXPECT_EQ(report.architecture, "LlamaForCausalLM");
  EXPECT_EQ(report.base_architecture, "Qwen2ForCausalLM");
  EXPECT_THAT(report.layers, ElementsAre(0, 1));
  EXPECT_GT(report.largest_bias, 0);
  EXPECT_EQ(Checkpoint::open(model.out())->config().architecture, "LlamaForCausalLM");
}

TEST(Bake, ReadsTheLockedColumnsAlone) {
  const Copy model("llama_gqa");  // 4 heads of 8 columns, E 32, float32; 4 heads are locked
  EXPECT_EQ(model.bake().bytes_read, 4U * 8 * 32 * sizeof(float));
}

TEST(Bake, SharesTheWeightsUnlessToldToCopy) {
  const Copy shared("llama_gqa"), copied("llama_gqa");
  const auto weights = [](const Copy& m) { return join_path(m.out(), "model-00001-of-00002.safetensors"); };
  const BakeReport report = shared.bake();
  const bool linked = report.sharing == "hard link";
  EXPECT_EQ(inode(weights(shared)) == inode(join_path(shared.path(), "model.safetensors")), linked);
  EXPECT_EQ(report.bytes_shared > 0, report.sharing != "copy");
  const BakeReport other = copied.bake({.copy = true});
  EXPECT_EQ(other.sharing, "copy");
  EXPECT_EQ(other.bytes_shared, 0U);
  EXPECT_NE(inode(weights(copied)), inode(join_path(copied.path(), "model.safetensors")));
  EXPECT_EQ(read_all(weights(copied)), read_all(join_path(copied.path(), "model.safetensors")));
}

TEST(Bake, BiasesOfItsOwnAreAddedToAndTheSourceStaysAsItIs) {
  const Copy model("llama_biases");
  const std::string before = read_all(join_path(model.path(), "model.safetensors"));
  model.bake();
  EXPECT_EQ(read_all(join_path(model.path(), "model.safetensors")), before);
  EXPECT_THAT(names_in(model.out()), Contains("model.safetensors"));
  EXPECT_THAT(names_in(model.out()), Not(Contains("model.safetensors.index.json")));
  const auto a = ModelTensors::open(model.path()), b = ModelTensors::open(model.out());
  EXPECT_NE(a->read_all(o_bias_name(0)), b->read_all(o_bias_name(0)));
}

TEST(Bake, TheCardKeepsWhatWasThere) {
  const Copy model("qwen2");
  model.write("README.md", "---\nlicense: mit\n---\n# Mine");
  const BakeReport report = model.bake();
  const std::string card = read_all(join_path(model.out(), "README.md"));
  EXPECT_TRUE(card.starts_with("---\nlicense: mit\n---\n# Mine\n\n## Locked with SafetyLock\n"));
  for (const char* engine : {"| transformers | exact |", "| vLLM | exact |", "| llama.cpp | exact |"})
    EXPECT_THAT(card, HasSubstr(engine));
}

TEST(Bake, EngineVerdicts) {
  const auto verdicts = [](const char* name) {
    std::string text;
    for (const EngineVerdict& v : BakedFolder(name).report.engines)
      text += v.engine + " " + to_string(v.support) + "; ";
    return text;
  };
  EXPECT_EQ(verdicts("mistral"), "transformers exact; vLLM exact; SGLang exact; llama.cpp exact; ");
  EXPECT_EQ(verdicts("qwen3"),
            "transformers exact; vLLM needs the loader; SGLang exact; llama.cpp refused; ");
  EXPECT_EQ(verdicts("gemma"),
            "transformers exact; vLLM needs the loader; SGLang not checked; llama.cpp refused; ");
}

TEST(Bake, AnythingInTheWayIsRefused) {
  const Copy model("llama_gqa");
  model.bake();
  EXPECT_EQ(model.refusal(), "arg.output");
  const auto lock = lock_of(model.path());
  const auto code = [&](const std::string& out) {
    return code_of([&] { bake_lock(model.path(), lock, out); });
  };
  EXPECT_EQ(code(join_path(model.path(), "config.json")), "arg.output");
  EXPECT_EQ(code(join_path(model.path(), "no/folder")), "arg.output");
  EXPECT_EQ(code(""), "arg.output");
  EXPECT_EQ(code("/"), "arg.output");
  std::filesystem::create_directory(model.path() + "-empty");
  EXPECT_EQ(code(model.path() + "-empty/"), "no error");
  EXPECT_TRUE(is_regular_file(model.path() + "-empty/config.json"));
}

TEST(Bake, ASecondLockIsRefused) {
  const Copy model("llama_gqa");
  model.bake();
  const auto fields = error_of([&] { bake_lock(model.out(), lock_of(model.path()), model.path() + "2"); });
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->code, "bind.bake");
  EXPECT_THAT(fields->hint, HasSubstr("A second lock would add to the first"));
}

TEST(Bake, WhatCannotBeExactIsRefusedWithTheReason) {
  for (const auto& [name, reason] :
       std::map<std::string, std::string>{{"mistral_window", "a sliding window of 5 tokens"},
                                          {"qwen2_window", "a sliding window of 6 tokens"},
                                          {"phi3", "a sliding window of 7 tokens"},
                                          {"phi4_mini", "partial rotary embeddings"}}) {
    const Copy model(name);
    const auto fields = error_of([&] { model.bake(); });
    ASSERT_TRUE(fields) << name;
    EXPECT_EQ(fields->code, "bind.bake") << name;
    EXPECT_EQ(fields->found, reason) << name;
    EXPECT_THAT(fields->hint, HasSubstr("loader")) << name;
    EXPECT_THAT(model.left_behind(), ElementsAre("m")) << name;
  }
}

TEST(Bake, AWindowAsLongAsTheContextHidesNothing) {
  const Copy model("mistral");
  model.change_config([](Json& c) { c["sliding_window"] = c["max_position_embeddings"]; });
  EXPECT_EQ(model.refusal(), "no error");
  const JsonTree config = parse_json(read_all(join_path(model.out(), "config.json")), "config.json");
  EXPECT_FALSE(config->contains("sliding_window"));
}

TEST(Bake, QuantisedFoldersAreRefused) {
  const Copy model("llama_gqa");
  const SafetyLock lock = lock_of(model.path());
  model.change_config([](Json& c) { c["quantization_config"] = {{"quant_method", "awq"}}; });
  const auto fields = error_of([&] { bake_lock(model.path(), lock, model.out()); });
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->code, "bind.bake");
  EXPECT_THAT(fields->hint, HasSubstr("Bake before quantising"));
}

TEST(Bake, AnotherModelsLockIsRefused) {
  const Copy model("llama_gqa");
  EXPECT_EQ(code_of([&] { bake_lock(model.path(), lock_of(tiny_folder("llama_head_dim")), model.out()); }),
            "bind.model");
}

TEST(Bake, StrengthZeroIsRefused) {
  const Copy model("llama_gqa");
  EXPECT_EQ(code_of([&] { model.bake({.alpha = 0.0}); }), "arg.alpha");
  EXPECT_EQ(code_of([&] { model.bake({.alpha = 25.0}); }), "arg.alpha");  // above the lock's alpha_max
}

TEST(Bake, NumbersThatAreNoneAreRefused) {
  const Copy model("llama_gqa");
  EditableShard shard(join_path(model.path(), "model.safetensors"));
  std::string& bytes = shard.at(o_weight_name(1)).bytes;
  bytes.replace(bytes.size() - 4, 4, std::string("\0\0\xC0\x7F", 4));  // the last column is locked
  shard.write();
  EXPECT_EQ(model.refusal(), "num.nonfinite");
  EXPECT_THAT(model.left_behind(), ElementsAre("m"));
}

TEST(Bake, AStopLeavesNothing) {
  const Copy model("llama_gqa");
  for (int steps = 0; steps < 4; ++steps) {
    int left = steps;
    EXPECT_EQ(code_of([&] {
                model.bake({.copy = true, .on_progress = [&](const Progress&) { return left-- > 0; }});
              }),
              "run.interrupted");
    EXPECT_THAT(model.left_behind(), ElementsAre("m"));
  }
}

TEST(Bake, WhatAKilledRunLeftIsRemovedAndARunningOnesIsNot) {
  const Copy model("llama_gqa");
  std::filesystem::create_directories(model.path() + "/../.out.baking-abcdef/deep");
  // While the first run is at its end a second one with the same output comes, and is done before it.
  const auto second = [&] {
    EXPECT_EQ(model.left_behind().size(), 2U);  // the first one's stage, and m
    model.bake();
    EXPECT_EQ(model.left_behind().size(), 3U);
    return std::string("of the first");
  };
  EXPECT_EQ(code_of([&] { model.bake({.make_probes = second}); }), "io.write");
  EXPECT_THAT(model.left_behind(), ElementsAre("m", "out"));
  EXPECT_FALSE(exists(join_path(model.out(), "verify.json")));
}

TEST(Bake, AnAdapterThatReplacesTheBiasIsRefused) {
  const Copy model("llama_biases");
  TemporaryFolder adapter;
  adapter.write("adapter_config.json",
                R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"],
                    "modules_to_save": ["o_proj"], "bias": "none"})");
  const auto tensors = ModelTensors::open(model.path());
  std::vector<SafetensorsEntry> entries;
  for (const std::int64_t layer : {0, 1}) {
    const std::string p = "base_model.model.model.layers." + std::to_string(layer) + ".self_attn.";
    entries.push_back(
        SafetensorsEntry::f32(p + "q_proj.lora_A.weight", {1, 32}, std::vector<float>(32, 0.1F)));
    entries.push_back(
        SafetensorsEntry::f32(p + "q_proj.lora_B.weight", {32, 1}, std::vector<float>(32, 0.1F)));
    entries.push_back(
        SafetensorsEntry::f32(p + "o_proj.weight", {32, 32}, tensors->read_all(o_weight_name(layer))));
    entries.push_back(SafetensorsEntry::f32(p + "o_proj.bias", {32}, tensors->read_all(o_bias_name(layer))));
  }
  adapter.write("adapter_model.safetensors", safetensors_to_bytes(entries, {{"format", "pt"}}));
  EXPECT_EQ(code_of([&] { model.bake({.adapter = adapter.path()}); }), "bind.bake");
}

TEST(Bake, AnAdaptersOProjIsTheOneThatCounts) {
  const BakedFolder baked("llama_gqa", "llama_gqa_lora");
  EXPECT_THAT(names_in(baked.file("adapter")),
              ElementsAre("adapter_config.json", "adapter_model.safetensors"));
  // W_o of layer 1 with the adapter merged in, as PEFT has it.
  const auto golden = SafetensorsFile::open(tiny_folder("llama_gqa_lora") + ".golden.safetensors");
  std::vector<float> merged(32 * 32);
  golden.read_floats(*golden.find("o_proj.1"), 0, merged);
  const std::vector<float> unit = baked.lock.output_bias(1, merged);
  const std::vector<float> bias = ModelTensors::open(baked.path())->read_all(o_bias_name(1));
  for (size_t e = 0; e < unit.size(); ++e) EXPECT_NEAR(bias[e], 3.0 * unit[e], 1e-5);
}

}  // namespace
}  // namespace safetylock::test
