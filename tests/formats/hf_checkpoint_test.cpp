#include "formats/hf_checkpoint.h"

#include <gtest/gtest.h>

#include <limits>

#include "safetylock/log.h"
#include "support/errors.h"
#include "support/hf_folder.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::HfFolder;
using test::tiny_hf;

class HfCheckpointTest : public testing::Test {
 protected:
  std::unique_ptr<Checkpoint> open(const HfFolder& f) {
    folder_ = std::make_unique<test::TemporaryFolder>();
    f.write(*folder_);
    return Checkpoint::open(folder_->path());
  }
  std::optional<ErrorFields> error(const HfFolder& f) {
    return test::error_of([&] { (void)open(f); });
  }
  std::string code(const HfFolder& f) {
    const auto e = error(f);
    return e ? e->code : "no error";
  }
  // The code after one change to the config of a tiny Llama.
  std::string with(const std::string& key, const Json& value, const std::string& type = "llama") {
    HfFolder f = tiny_hf(type);
    f.config[key] = value;
    return code(f);
  }
  // The code for a config.json of these bytes.
  std::string config_bytes(std::string_view bytes) {
    folder_ = std::make_unique<test::TemporaryFolder>();
    tiny_hf("llama").write(*folder_);
    folder_->write("config.json", bytes);
    return test::code_of([&] { (void)Checkpoint::open(folder_->path()); });
  }

  std::unique_ptr<test::TemporaryFolder> folder_;
};

TEST_F(HfCheckpointTest, LlamaConfigAndValues) {
  const auto c = open(tiny_hf("llama", true, true));
  const ModelConfig& m = c->config();
  EXPECT_EQ(c->format(), "Hugging Face folder");
  EXPECT_EQ(m.architecture, "LlamaForCausalLM");
  EXPECT_EQ(m.num_hidden_layers, 2);
  EXPECT_EQ(m.head_dim, 4);
  EXPECT_EQ(m.rms_norm_eps, 1e-5);
  EXPECT_TRUE(m.attention_bias);
  EXPECT_TRUE(m.attention_out_bias);
  EXPECT_TRUE(m.mlp_bias);
  EXPECT_FALSE(m.tie_word_embeddings);
  EXPECT_EQ(m.eos_token_ids, std::vector<std::int64_t>{2});
  const CheckpointTensor* t = c->find("model.layers.1.self_attn.o_proj.bias");
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(t->storage, "F32");
  const CheckpointTensor* e = c->find("model.embed_tokens.weight");
  std::vector<float> rows(3 * 8);
  c->read_rows(*e, 4, 7, rows);
  const std::vector<float> all = test::tiny_values(80, 1);
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), all.begin() + 32));
}

TEST_F(HfCheckpointTest, Qwen2HasBiasesOnQueryKeyAndValueOnly) {
  const auto c = open(tiny_hf("qwen2"));
  EXPECT_TRUE(c->config().attention_bias);
  EXPECT_FALSE(c->config().attention_out_bias);
  EXPECT_EQ(c->find("model.layers.0.self_attn.o_proj.bias"), nullptr);
}

TEST_F(HfCheckpointTest, OutputBiasOfQwen2IsRefusedWithTheReason) {
  const auto e = error(tiny_hf("qwen2").add("model.layers.0.self_attn.o_proj.bias", {8}));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "model.tensor_extra");
  EXPECT_NE(e->hint.find("ignored in silence"), std::string::npos);
}

TEST_F(HfCheckpointTest, HeadDimIsNeverDerivedWhenGiven) {
  const auto c = open(tiny_hf("llama", false, false, {.head_dim = 6}));
  EXPECT_EQ(c->config().head_dim, 6);
  EXPECT_EQ(c->config().attention_size(), 12);
}

TEST_F(HfCheckpointTest, Transformers5Spellings) {
  HfFolder f = tiny_hf("llama");
  f.config.erase("rope_theta");
  f.config["dtype"] = "bfloat16";
  f.config["rope_parameters"] = {{"rope_theta", 500000.0},  {"rope_type", "llama3"},
                                 {"factor", 8.0},           {"low_freq_factor", 1.0},
                                 {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 32}};
  const auto c = open(f);
  const RopeScaling& r = c->config().rope_scaling;
  EXPECT_EQ(c->config().rope_theta, 500000.0);
  EXPECT_EQ(r.type, RopeScaling::Type::llama3);
  EXPECT_EQ(r.factor, 8.0);
  EXPECT_EQ(r.high_freq_factor, 4.0);
  EXPECT_EQ(r.original_max_position_embeddings, 32);
}

TEST_F(HfCheckpointTest, Transformers4Spellings) {
  HfFolder f = tiny_hf("llama");
  f.config["torch_dtype"] = "float16";
  f.config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  const auto c = open(f);
  EXPECT_EQ(c->config().rope_scaling.type, RopeScaling::Type::linear);
  EXPECT_EQ(c->config().rope_scaling.factor, 2.0);
  f.config["rope_scaling"] = nullptr;
  EXPECT_EQ(open(f)->config().rope_scaling.type, RopeScaling::Type::none);
}

// As transformers 5 does; beside the factors it would be an error in version 4.
TEST_F(HfCheckpointTest, OriginalContextStandsAtTheTopOrIsTheModels) {
  HfFolder f = tiny_hf("llama");
  f.config["rope_scaling"] = {
      {"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}};
  EXPECT_EQ(open(f)->config().rope_scaling.original_max_position_embeddings, 64);
  f.config["original_max_position_embeddings"] = 16;
  EXPECT_EQ(open(f)->config().rope_scaling.original_max_position_embeddings, 16);
  f.config["rope_scaling"]["original_max_position_embeddings"] = 32;
  EXPECT_EQ(code(f), "cfg.conflict");
}

TEST_F(HfCheckpointTest, ContradictingSpellingsAreRefused) {
  HfFolder f = tiny_hf("llama");
  f.config["rope_parameters"] = {{"rope_theta", 10000.0}, {"rope_type", "default"}};
  EXPECT_EQ(code(f), "no error");
  f.config["rope_parameters"]["rope_theta"] = 20000.0;
  EXPECT_EQ(code(f), "cfg.conflict");
  f.config["rope_parameters"] = {{"rope_type", "linear"}, {"type", "llama3"}, {"factor", 2.0}};
  EXPECT_EQ(code(f), "cfg.conflict");
  f.config["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 2.0}};
  f.config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 3.0}};
  EXPECT_EQ(code(f), "cfg.conflict");
  f.config["rope_scaling"] = {{"rope_type", "default"}};
  EXPECT_EQ(code(f), "cfg.conflict");
  f = tiny_hf("llama");
  f.config["dtype"] = "float32";
  f.config["torch_dtype"] = "bfloat16";
  EXPECT_EQ(code(f), "cfg.conflict");
  f.config["torch_dtype"] = "float32";
  EXPECT_EQ(code(f), "no error");
  EXPECT_EQ(with("qkv_bias", true), "cfg.conflict");
}

TEST_F(HfCheckpointTest, EndTokensComeFromTheGenerationConfig) {
  HfFolder f = tiny_hf("llama");
  f.config["eos_token_id"] = {2, 3, 2};
  EXPECT_EQ(open(f)->config().eos_token_ids, (std::vector<std::int64_t>{2, 3}));
  folder_->write("generation_config.json", R"({"eos_token_id": [7, 5]})");
  EXPECT_EQ(Checkpoint::open(folder_->path())->config().eos_token_ids, (std::vector<std::int64_t>{7, 5}));
  folder_->write("generation_config.json", R"({"temperature": 0.7})");
  EXPECT_EQ(Checkpoint::open(folder_->path())->config().eos_token_ids, (std::vector<std::int64_t>{2, 3}));
  folder_->write("generation_config.json", R"({"eos_token_id": 10})");
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(folder_->path()); }), "cfg.token_id");
}

TEST_F(HfCheckpointTest, C1_C2_C3_ConfigBytes) {
  EXPECT_EQ(config_bytes("{\"a\": 1,}"), "json.syntax");
  EXPECT_EQ(config_bytes("\xEF\xBB\xBF{}"), "json.bom");
  EXPECT_EQ(config_bytes(std::string(100'000, '[')), "json.depth");
  EXPECT_EQ(config_bytes("{\"hidden_size\":8,\"hidden_size\":8}"), "json.duplicate_key");
  EXPECT_EQ(config_bytes("[]"), "cfg.type");
  EXPECT_EQ(config_bytes(std::string((1 << 20) + 1, ' ')), "limit.file_size");
}

TEST_F(HfCheckpointTest, F8_F12_ConfigThatIsNone) {
  const auto found = [&](std::string_view bytes) {
    folder_ = std::make_unique<test::TemporaryFolder>();
    tiny_hf("llama").write(*folder_);
    folder_->write("generation_config.json", bytes);
    const auto e = test::error_of([&] { (void)Checkpoint::open(folder_->path()); });
    return e && e->code == "io.wrong_format" ? e->found : e ? e->code : "no error";
  };
  EXPECT_EQ(config_bytes("<!DOCTYPE html><html>"), "io.wrong_format");
  EXPECT_EQ(found("\n<html><body>Sign in"), "an HTML page");
  EXPECT_EQ(found("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), "a git-lfs pointer");
  EXPECT_EQ(found("\x1f\x8b\x08 and more"), "a gzip archive");
  EXPECT_EQ(found("nonsense"), "json.syntax");
  EXPECT_EQ(found(std::string((1 << 20) + 1, ' ')), "limit.file_size");
}

TEST_F(HfCheckpointTest, C4_TypesAndRanges) {
  for (const char* key :
       {"hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads", "num_key_value_heads"}) {
    for (const Json& bad : {Json("4"), Json(3.9), Json(true), Json::array()})
      EXPECT_EQ(with(key, bad), "cfg.type") << key;
  }
  EXPECT_EQ(with("hidden_size", -1), "cfg.range");
  EXPECT_EQ(with("hidden_size", 18446744073709551615ULL), "cfg.range");
  EXPECT_EQ(with("hidden_size", 18446744073709551616.0),
            "cfg.type");  // 2^64 is no integer of JSON's any more
  EXPECT_EQ(with("hidden_size", (1LL << 53) + 1), "cfg.range");
  EXPECT_EQ(with("tie_word_embeddings", 0), "cfg.type");
  EXPECT_EQ(with("rms_norm_eps", "1e-5"), "cfg.type");
  for (const char* key :
       {"hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads", "intermediate_size"}) {
    HfFolder f = tiny_hf("llama");
    f.config.erase(key);
    EXPECT_EQ(code(f), "cfg.missing") << key;
  }
}

TEST_F(HfCheckpointTest, C5_Architectures) {
  EXPECT_EQ(with("model_type", "mistral"), "cfg.unsupported");
  EXPECT_EQ(with("architectures", {"GemmaForCausalLM"}), "cfg.unsupported");
  EXPECT_EQ(with("model_type", "qwen2"), "cfg.unsupported");  // the two disagree
  EXPECT_EQ(with("architectures", "LlamaForCausalLM"), "cfg.type");
  HfFolder unknown = tiny_hf("llama");
  unknown.config["architectures"] = {"GemmaForCausalLM"};
  EXPECT_NE(error(unknown)->expected.find("LlamaForCausalLM"), std::string::npos);
  HfFolder f = tiny_hf("llama");
  f.config.erase("architectures");
  EXPECT_EQ(code(f), "no error");
  f.config.erase("model_type");
  EXPECT_EQ(code(f), "cfg.unsupported");
}

TEST_F(HfCheckpointTest, C6_C7_C8_Heads) {
  EXPECT_EQ(with("num_attention_heads", 0), "cfg.heads");
  EXPECT_EQ(with("num_attention_heads", -2), "cfg.heads");
  EXPECT_EQ(with("num_attention_heads", 3), "cfg.heads");
  EXPECT_EQ(with("head_dim", 8), "cfg.shape_conflict");
  EXPECT_EQ(with("head_dim", 4), "no error");
  EXPECT_EQ(with("num_key_value_heads", 0), "cfg.kv_heads");
  EXPECT_EQ(with("num_key_value_heads", 3), "cfg.kv_heads");
  EXPECT_EQ(with("num_key_value_heads", 2), "cfg.kv_heads");
  const auto e = error([] {
    HfFolder f = tiny_hf("llama");
    f.config["head_dim"] = 8;
    return f;
  }());
  EXPECT_EQ(e->where, "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(e->found, "[8, 8]");
  EXPECT_EQ(e->expected, "[16, 8] (heads 2 x head_dim 8)");
  HfFolder f = tiny_hf("llama");
  f.at("model.layers.0.self_attn.o_proj.weight") =
      SafetensorsEntry::f32("model.layers.0.self_attn.o_proj.weight", {8, 4}, test::tiny_values(32, 1));
  EXPECT_EQ(code(f), "cfg.shape_conflict");
}

TEST_F(HfCheckpointTest, C9_C10_C11_VocabularyAndLayers) {
  EXPECT_EQ(with("vocab_size", 11), "cfg.vocab");
  EXPECT_EQ(with("vocab_size", 9), "cfg.vocab");
  HfFolder f = tiny_hf("llama");
  f.at("lm_head.weight") = SafetensorsEntry::f32("lm_head.weight", {9, 8}, test::tiny_values(72, 1));
  EXPECT_EQ(code(f), "cfg.vocab");
  f = tiny_hf("llama");
  for (SafetensorsEntry& t : f.tensors) {
    const size_t at = t.name.find("layers.1.");
    if (at != std::string::npos) t.name.replace(at, 9, "layers.2.");
  }
  const auto gap = error(f);
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->code, "cfg.layers");
  EXPECT_EQ(gap->found, "no tensor of layer 1");
  EXPECT_EQ(with("num_hidden_layers", 1), "cfg.layers");
  EXPECT_EQ(with("num_hidden_layers", 3), "cfg.layers");
  EXPECT_EQ(with("num_hidden_layers", 2147483648LL), "cfg.range");
  EXPECT_EQ(with("hidden_size", 1LL << 40), "cfg.range");
}

TEST_F(HfCheckpointTest, C12_C13_RopeAndEps) {
  for (const double bad : {0.0, -1.0}) {
    EXPECT_EQ(with("rms_norm_eps", bad), "cfg.range");
    EXPECT_EQ(with("rope_theta", bad), "cfg.range");
    EXPECT_EQ(with("rope_scaling", {{"type", "linear"}, {"factor", bad}}), "cfg.range");
  }
  EXPECT_EQ(with("rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}), "cfg.unsupported");
  EXPECT_EQ(with("rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}), "cfg.unsupported");
  EXPECT_EQ(with("rope_scaling", {{"type", "linear"}}), "cfg.missing");
  EXPECT_EQ(with("rope_scaling", {{"rope_type", "llama3"}, {"factor", 2.0}}), "cfg.missing");
  EXPECT_EQ(code(tiny_hf("llama", false, false, {.hidden = 6, .heads = 2, .kv_heads = 2, .head_dim = 3})),
            "cfg.range");  // odd
  EXPECT_EQ(with("partial_rotary_factor", 0.5), "cfg.unsupported");
  EXPECT_EQ(with("rope_parameters", {{"partial_rotary_factor", 0.5}}), "cfg.unsupported");
  EXPECT_EQ(with("rope_parameters", {{"full_attention", {{"rope_type", "default"}}}}), "cfg.unsupported");
}

TEST_F(HfCheckpointTest, C14_TiedEmbeddings) {
  EXPECT_EQ(with("tie_word_embeddings", true), "cfg.tied");  // another lm_head is there
  EXPECT_EQ(code(tiny_hf("llama").remove("lm_head.weight")), "cfg.tied");
  HfFolder f = tiny_hf("llama");
  f.config["tie_word_embeddings"] = true;
  f.at("lm_head.weight").bytes = f.at("model.embed_tokens.weight").bytes;
  EXPECT_EQ(open(f)->find("lm_head.weight"), nullptr);
  f.remove("lm_head.weight");
  EXPECT_TRUE(open(f)->config().tie_word_embeddings);
}

TEST_F(HfCheckpointTest, C15_UnsupportedVariants) {
  EXPECT_EQ(with("quantization_config", {{"quant_method", "gptq"}}), "cfg.unsupported");
  EXPECT_EQ(with("hidden_act", "gelu"), "cfg.unsupported");
  EXPECT_EQ(with("num_local_experts", 8), "cfg.unsupported");
  EXPECT_EQ(with("use_sliding_window", true, "qwen2"), "no error");
  EXPECT_EQ(with("sliding_window", 4096, "qwen2"), "no error");  // switched off by use_sliding_window
  EXPECT_EQ(with("sliding_window", 4096), "cfg.unsupported");
  EXPECT_EQ(with("layer_types", {"full_attention", "sliding_attention"}, "qwen2"), "cfg.conflict");
  EXPECT_EQ(with("layer_types", {"full_attention", "full_attention"}, "qwen2"), "no error");
  EXPECT_EQ(with("attention_bias", true), "model.tensor_missing");
}

TEST_F(HfCheckpointTest, C16_CustomCodeIsNeverRun) {
  std::string notes;
  set_log_sink(LogLevel::info, [&](LogLevel, std::string_view line) { notes += line; });
  EXPECT_EQ(with("auto_map", {{"AutoModel", "modeling_x.X"}}), "no error");
  set_log_sink(LogLevel::warning, nullptr);
  EXPECT_NE(notes.find("auto_map"), std::string::npos) << notes;
  HfFolder f = tiny_hf("llama");
  f.config["auto_map"] = {{"AutoModel", "modeling_x.X"}};
  f.config["model_type"] = "x";
  EXPECT_EQ(code(f), "cfg.custom_code");
}

TEST_F(HfCheckpointTest, C17_TensorsSayTheirType) {
  const auto notes_for = [&](const char* dtype) {
    HfFolder f = tiny_hf("llama");
    f.config["torch_dtype"] = dtype;
    std::string notes;
    set_log_sink(LogLevel::info, [&](LogLevel, std::string_view line) { notes += line; });
    const auto c = open(f);
    set_log_sink(LogLevel::warning, nullptr);
    EXPECT_EQ(c->tensors().front().storage, "F32");
    return notes;
  };
  EXPECT_NE(notes_for("bfloat16").find("config.json says bfloat16"), std::string::npos);
  EXPECT_EQ(notes_for("float32"), "");
  EXPECT_EQ(notes_for("auto"), "");
}

TEST_F(HfCheckpointTest, C18_TokenIds) {
  for (const Json& bad :
       {Json(10), Json(-1), Json("2"), Json(2.0), Json::array(), Json({2, "x"}), Json({2, 10})}) {
    EXPECT_EQ(with("eos_token_id", bad), "cfg.token_id") << bad.dump();
  }
  for (const char* bad : {R"({"eos_token_id": "2"})", R"({"eos_token_id": [true]})",
                          R"({"eos_token_id": []})", R"({"eos_token_id": -1})", R"({"eos_token_id": 1.0})"}) {
    (void)open(tiny_hf("llama"));
    folder_->write("generation_config.json", bad);
    const auto e = test::error_of([&] { (void)Checkpoint::open(folder_->path()); });
    ASSERT_TRUE(e) << bad;
    EXPECT_EQ(e->code, "cfg.token_id");
    EXPECT_EQ(e->file, folder_->path("generation_config.json"));
  }
  EXPECT_EQ(with("bos_token_id", 10), "cfg.token_id");
  EXPECT_EQ(with("bos_token_id", nullptr), "no error");
}

TEST_F(HfCheckpointTest, S19_S20_Tensors) {
  EXPECT_EQ(code(tiny_hf("llama").remove("model.layers.1.mlp.up_proj.weight")), "model.tensor_missing");
  EXPECT_EQ(code(tiny_hf("llama").add("model.layers.0.surplus", {1})), "model.tensor_extra");
  EXPECT_EQ(code(tiny_hf("llama").add("model.layers.0.self_attn.q_proj.bias", {8})), "model.tensor_extra");
  EXPECT_EQ(code(tiny_hf("llama").add("model.layers.0.self_attn.rotary_emb.inv_freq", {2})), "no error");
  HfFolder f = tiny_hf("llama");
  f.at("model.layers.0.mlp.up_proj.weight").shape = {8, 12};
  EXPECT_EQ(code(f), "model.tensor_shape");
  f = tiny_hf("llama");
  f.at("model.norm.weight").shape = {8, 1};
  EXPECT_EQ(code(f), "model.tensor_shape");
  f = tiny_hf("llama");
  f.at("model.norm.weight") = {"model.norm.weight", "I32", {8}, std::string(32, '\0')};
  EXPECT_EQ(code(f), "st.dtype_unsupported");
}

TEST_F(HfCheckpointTest, S16_EmptyAndScalarTensorsWhereAModelNeedsValues) {
  for (const std::vector<std::uint64_t>& shape : {std::vector<std::uint64_t>{}, {0}, {8, 0}}) {
    HfFolder f = tiny_hf("llama");
    f.at("model.norm.weight") = {"model.norm.weight", "F32", shape, std::string(shape.empty() ? 4 : 0, '\0')};
    EXPECT_EQ(code(f), "model.tensor_shape");
  }
}

TEST_F(HfCheckpointTest, S21_ValuesThatAreNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    HfFolder f = tiny_hf("llama");
    std::vector<float> values(8, 1.0F);
    values[5] = bad;
    f.at("model.norm.weight") = SafetensorsEntry::f32("model.norm.weight", {8}, values);
    const auto c = open(f);
    std::vector<float> out(8);
    const auto e = test::error_of([&] { c->read_rows(*c->find("model.norm.weight"), 0, 8, out); });
    ASSERT_TRUE(e);
    EXPECT_EQ(e->code, "num.nonfinite");
    EXPECT_NE(e->found.find("1 NaN or infinite, the first at flat index 5"), std::string::npos);
  }
}

TEST_F(HfCheckpointTest, F6_FileThatChangesAfterOpening) {
  const auto c = open(tiny_hf("llama"));
  std::vector<float> out(8);
  c->read_rows(*c->find("model.norm.weight"), 0, 8, out);
  folder_->write("model.safetensors", test::read_all(folder_->path("model.safetensors")) + "x");
  EXPECT_EQ(test::code_of([&] { c->read_rows(*c->find("model.norm.weight"), 0, 8, out); }), "io.changed");
}

TEST_F(HfCheckpointTest, WrongKindOfPathIsNamed) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(folder.path()); }), "io.open");
  tiny_hf("llama").write(folder);
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(folder.path("model.safetensors")); }),
            "io.wrong_format");
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(folder.path("none")); }), "io.open");
  const test::TemporaryFolder adapter;
  adapter.write("adapter_config.json", "{}");
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(adapter.path()); }), "io.wrong_format");
  const test::TemporaryFolder pickle;
  pickle.write("config.json", tiny_hf("llama").config.dump());
  pickle.write("pytorch_model.bin", "x");
  EXPECT_EQ(test::code_of([&] { (void)Checkpoint::open(pickle.path()); }), "model.pickle_refused");
}

TEST_F(HfCheckpointTest, DigestIgnoresTheOrderInTheFileAndSeesEveryTensor) {
  const std::string digest = open(tiny_hf("llama"))->weights_digest();
  HfFolder f = tiny_hf("llama");
  EXPECT_EQ(open(f)->weights_digest(), digest);
  for (size_t i = 0; i < f.tensors.size(); ++i) {
    f = tiny_hf("llama");
    f.tensors[i].bytes[1] = static_cast<char>(f.tensors[i].bytes[1] ^ 1);
    EXPECT_NE(open(f)->weights_digest(), digest) << f.tensors[i].name;
  }
}

}  // namespace
}  // namespace safetylock
