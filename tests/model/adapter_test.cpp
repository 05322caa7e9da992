#include <limits>

#include "base/json.h"
#include "model/adapted_checkpoint.h"
#include "model/weights.h"
#include "support/temporary.h"
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
      {"lm_head.weight", {static_cast<std::uint64_t>(base->config().vocab_size), 32}, head, true});
  const AdaptedCheckpoint checkpoint(Checkpoint::open(test::tiny_model_path("llama_gqa")), adapter);
  const at::Tensor expected =
      load_weights(*Checkpoint::open(test::tiny_model_path("llama_gqa")), at::kCPU, at::kFloat).lm_head;
  EXPECT_TRUE(at::equal(load_weights(checkpoint, at::kCPU, at::kFloat).lm_head, -expected));
}

TEST(Adapter, L15_RowsAreMergedEachTimeFromTheBasesValues) {
  const AdaptedCheckpoint checkpoint(Checkpoint::open(test::tiny_model_path("llama_gqa")),
                                     load_lora(kAdapter));
  const CheckpointTensor* tensor = checkpoint.find("model.layers.1.self_attn.o_proj.weight");
  std::vector<float> first(32 * 32), second(32 * 32);
  checkpoint.read_rows(*tensor, 0, 32, first);
  checkpoint.read_rows(*tensor, 0, 32, second);
  EXPECT_EQ(first, second);
}

// Both are read from the adapter, the head with a change on top.
TEST(Adapter, ReplacedTensorsMayHaveMoreRowsAndBeAdapted) {
  LoraAdapter adapter = load_lora(kAdapter);
  const auto base = test::MemoryCheckpoint::copy_of("llama_gqa");
  const std::uint64_t rows = static_cast<std::uint64_t>(base->config().vocab_size) + 2;
  std::vector<float> values(rows * 32, 0.5F);
  adapter.replacements.push_back({"model.embed_tokens.weight", {rows, 32}, values});
  adapter.replacements.push_back({"lm_head.weight", {rows, 32}, values});
  adapter.modules.insert(adapter.modules.begin(), {"lm_head", 1, 32, rows, 2.0, std::vector<float>(32, 1.0F),
                                                   std::vector<float>(rows, 0.25F)});
  const AdaptedCheckpoint checkpoint(Checkpoint::open(test::tiny_model_path("llama_gqa")), adapter);
  const Weights weights = load_weights(checkpoint, at::kCPU, at::kFloat);
  EXPECT_TRUE(at::equal(weights.embedding, at::full({static_cast<std::int64_t>(rows), 32}, 0.5)));
  EXPECT_TRUE(at::equal(weights.lm_head, at::full({static_cast<std::int64_t>(rows), 32}, 1.0)));
}

// The adapter of llama_gqa in a folder of its own, with what else a trainer may save there.
class AdapterFolder : public testing::Test {
 protected:
  AdapterFolder() {
    folder_.write("adapter_config.json", test::read_all(kAdapter + "/adapter_config.json"));
    const SafetensorsFile file = SafetensorsFile::open(kAdapter + "/adapter_model.safetensors");
    for (const SafetensorsTensor& t : file.tensors()) {
      std::string bytes(t.bytes, '\0');
      file.read_bytes(t, 0, std::as_writable_bytes(std::span(bytes)));
      tensors_.push_back({t.name, t.dtype, t.shape, std::move(bytes)});
    }
  }
  // A tokenizer with `added` more tokens than the base's.
  void write_tokenizer(int added) {
    Json tokenizer = Json::parse(test::read_all(test::tiny_model_path("llama_gqa") + "/tokenizer.json"));
    Json& tokens = tokenizer["added_tokens"];
    for (int i = 0; i < added; ++i) {
      Json token = tokens.back();
      token["id"] = token["id"].get<int>() + 1;
      token["content"] = "<added " + std::to_string(i) + ">";
      tokens.push_back(token);
    }
    folder_.write("tokenizer.json", tokenizer.dump());
  }
  void save_vocabulary(std::uint64_t rows) {
    for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"})
      tensors_.push_back(SafetensorsEntry::f32(name, {rows, 32}, std::vector<float>(rows * 32, 0.125F)));
  }
  CausalLM load() {
    folder_.write("adapter_model.safetensors", safetensors_to_bytes(tensors_, {}));
    return CausalLM::from_pretrained(test::tiny_model_path("llama_gqa"),
                                     {.device = "cpu", .dtype = "float32", .adapter = folder_.path()});
  }

  test::TemporaryFolder folder_;
  std::vector<SafetensorsEntry> tensors_;
};

TEST_F(AdapterFolder, BringsItsTokenizerAndTemplate) {
  const CausalLM base = CausalLM::from_pretrained(test::tiny_model_path("llama_gqa"), {.device = "cpu"});
  EXPECT_EQ(load().tokenizer().digest(), base.tokenizer().digest()) << "none in the folder";
  EXPECT_EQ(load().chat_template().source(), base.chat_template().source());
  const auto rows = static_cast<std::uint64_t>(base.config().vocab_size) + 2;
  write_tokenizer(2);
  folder_.write("chat_template.jinja", "of the adapter");
  save_vocabulary(rows);
  const CausalLM tuned = load();
  EXPECT_EQ(tuned.config().vocab_size, static_cast<std::int64_t>(rows));
  EXPECT_EQ(tuned.tokenizer().vocab_size(), static_cast<std::int64_t>(rows));
  EXPECT_EQ(tuned.chat_template().source(), "of the adapter");
  const TokenId added = tuned.tokenizer().token_to_id("<added 1>").value();
  EXPECT_EQ(tuned.logits({{1, added}}, LogitsOf::last_token).size(1), static_cast<std::int64_t>(rows));
}

// The base's tokenizer in its place would give other tokens without a word.
TEST_F(AdapterFolder, IsReadWhateverTheTokenizersFormat) {
  folder_.write("tokenizer.model",
                test::read_all(std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/text/llama.model"));
  EXPECT_EQ(test::code_of([&] { load(); }), "cfg.missing") << "no tokenizer_config.json beside it";
  folder_.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer"})");
  EXPECT_EQ(test::code_of([&] { load(); }), "cfg.vocab") << "more tokens than rows";
}

TEST_F(AdapterFolder, C9_TokensWithoutARowInTheEmbedding) {
  write_tokenizer(1);
  const auto error = test::error_of([&] { load(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "cfg.vocab");
  EXPECT_EQ(error->where, "tokenizer");
}

TEST(OnConfig, ComesBeforeTheWeightsAndMayRefuse) {
  bool read = false;
  LoadOptions options{.device = "cpu"};
  options.on_progress = [&](const Progress&) { return read = true; };
  options.on_config = [](const ModelConfig& config) {
    throw Error({.code = "test.refused", .found = config.architecture});
  };
  const auto error =
      test::error_of([&] { CausalLM::from_pretrained(test::tiny_model_path("qwen2"), options); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->found, "Qwen2ForCausalLM");
  EXPECT_FALSE(read);
}

}  // namespace
}  // namespace safetylock
