#include "formats/gguf_checkpoint.h"

#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <limits>
#include <thread>

#include "support/errors.h"
#include "support/gguf_builder.h"
#include "support/models.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::bytes_of_all;
using test::GgufBuilder;
using test::tiny_gguf;
using test::tiny_values;
using test::TinyDims;

class GgufCheckpointTest : public testing::Test {
 protected:
  std::unique_ptr<Checkpoint> open(const GgufBuilder& b) {
    return Checkpoint::open(folder_.write("m.gguf", b.build()));
  }
  std::optional<ErrorFields> error(const GgufBuilder& b) {
    return test::error_of([&] { (void)open(b); });
  }
  std::string code(const GgufBuilder& b) {
    const auto e = error(b);
    return e ? e->code : "no error";
  }
  static std::vector<float> read(const Checkpoint& c, const std::string& name) {
    const CheckpointTensor* t = c.find(name);
    if (t == nullptr) return {};
    std::uint64_t count = 1;
    for (const std::uint64_t n : t->shape) count *= n;
    std::vector<float> values(count);
    c.read_rows(*t, 0, t->shape.front(), values);
    return values;
  }

  test::TemporaryFolder folder_;
};

TEST_F(GgufCheckpointTest, LlamaConfig) {
  const auto c =
      open(tiny_gguf("llama").u32("tokenizer.ggml.eot_token_id", 3).u32("tokenizer.ggml.eom_token_id", 2));
  const ModelConfig& m = c->config();
  EXPECT_EQ(c->format(), "GGUF v3");
  EXPECT_EQ(m.architecture, "LlamaForCausalLM");
  EXPECT_EQ(m.model_type, "llama");
  EXPECT_EQ(m.num_hidden_layers, 2);
  EXPECT_EQ(m.hidden_size, 8);
  EXPECT_EQ(m.intermediate_size, 12);
  EXPECT_EQ(m.num_attention_heads, 2);
  EXPECT_EQ(m.num_key_value_heads, 1);
  EXPECT_EQ(m.head_dim, 4);
  EXPECT_EQ(m.vocab_size, 10);
  EXPECT_EQ(m.max_position_embeddings, 64);
  EXPECT_EQ(static_cast<float>(m.rms_norm_eps), 1e-5F);
  EXPECT_EQ(m.rope_theta, 10000.0);
  EXPECT_EQ(m.rope_scaling.type, RopeScaling::Type::none);
  EXPECT_FALSE(m.attention_bias);
  EXPECT_FALSE(m.attention_out_bias);
  EXPECT_FALSE(m.mlp_bias);
  EXPECT_TRUE(m.tie_word_embeddings);
  EXPECT_EQ(m.bos_token_id, 1);
  EXPECT_EQ(m.eos_token_ids, (std::vector<std::int64_t>{2, 3}));
}

TEST_F(GgufCheckpointTest, Qwen2ConfigHasBiasesAndUntiedOutput) {
  const auto c = open(tiny_gguf("qwen2"));
  EXPECT_EQ(c->config().architecture, "Qwen2ForCausalLM");
  EXPECT_TRUE(c->config().attention_bias);
  EXPECT_FALSE(c->config().attention_out_bias);
  EXPECT_FALSE(c->config().tie_word_embeddings);
  EXPECT_NE(c->find("lm_head.weight"), nullptr);
  EXPECT_NE(c->find("model.layers.1.self_attn.k_proj.bias"), nullptr);
}

// convert_hf_to_gguf.py, LlamaModel.permute: [H, 2, D/2, in] -> [H, D/2, 2, in].
std::vector<float> permuted(const std::vector<float>& rows, size_t heads, size_t head_dim, size_t columns) {
  std::vector<float> out;
  for (size_t h = 0; h < heads; ++h) {
    for (size_t i = 0; i < head_dim / 2; ++i) {
      for (size_t half = 0; half < 2; ++half) {
        const size_t row = h * head_dim + half * (head_dim / 2) + i;
        out.insert(out.end(), rows.begin() + static_cast<long>(row * columns),
                   rows.begin() + static_cast<long>((row + 1) * columns));
      }
    }
  }
  return out;
}

TEST_F(GgufCheckpointTest, LlamaRowsOfQueryAndKeyAreInHuggingFaceOrder) {
  const TinyDims d{.head_dim = 8};
  GgufBuilder b = tiny_gguf("llama", d);
  b.u32("llama.attention.key_length", 8).u32("llama.attention.value_length", 8);
  const std::vector<float> q = tiny_values(2 * 8 * 8, 100), k = tiny_values(8 * 8, 200);
  const std::vector<float> q_bias = tiny_values(16, 300), k_bias = tiny_values(8, 400);
  b.at("blk.1.attn_q.weight").data = bytes_of_all(permuted(q, 2, 8, 8));
  b.at("blk.1.attn_k.weight").data = bytes_of_all(permuted(k, 1, 8, 8));
  for (const char* layer : {"blk.0.", "blk.1."}) {
    b.tensor(std::string(layer) + "attn_q.bias", {16}, permuted(q_bias, 2, 8, 1));
    b.tensor(std::string(layer) + "attn_k.bias", {8}, permuted(k_bias, 1, 8, 1));
    b.tensor(std::string(layer) + "attn_v.bias", {8}, tiny_values(8, 500));
  }
  const auto c = open(b);
  EXPECT_EQ(c->config().head_dim, 8);
  EXPECT_TRUE(c->config().attention_bias);
  EXPECT_EQ(read(*c, "model.layers.1.self_attn.q_proj.weight"), q);
  EXPECT_EQ(read(*c, "model.layers.1.self_attn.k_proj.weight"), k);
  EXPECT_EQ(read(*c, "model.layers.1.self_attn.q_proj.bias"), q_bias);
  EXPECT_EQ(read(*c, "model.layers.1.self_attn.k_proj.bias"), k_bias);
  EXPECT_EQ(read(*c, "model.layers.1.self_attn.v_proj.bias"), tiny_values(8, 500));
  // Any range of rows, also across heads.
  const CheckpointTensor* t = c->find("model.layers.1.self_attn.q_proj.weight");
  for (std::uint64_t from = 0; from < 16; ++from) {
    for (std::uint64_t to = from; to <= 16; ++to) {
      std::vector<float> part((to - from) * 8);
      c->read_rows(*t, from, to, part);
      ASSERT_TRUE(std::equal(part.begin(), part.end(), q.begin() + static_cast<long>(from * 8)))
          << from << ' ' << to;
    }
  }
}

TEST_F(GgufCheckpointTest, Qwen2RowsStayAsTheyAre) {
  GgufBuilder b = tiny_gguf("qwen2");
  const std::vector<float> q = tiny_values(8 * 8, 100);
  b.at("blk.0.attn_q.weight").data = bytes_of_all(q);
  EXPECT_EQ(read(*open(b), "model.layers.0.self_attn.q_proj.weight"), q);
}

TEST_F(GgufCheckpointTest, OutputBiasOfLlamaIsHonoured) {
  GgufBuilder b = tiny_gguf("llama");
  b.tensor("blk.0.attn_output.bias", {8}, tiny_values(8, 1))
      .tensor("blk.1.attn_output.bias", {8}, tiny_values(8, 2));
  const auto c = open(b);
  EXPECT_TRUE(c->config().attention_out_bias);
  EXPECT_FALSE(c->config().attention_bias);
  EXPECT_EQ(read(*c, "model.layers.1.self_attn.o_proj.bias"), tiny_values(8, 2));
  b.remove_tensor("blk.1.attn_output.bias");
  EXPECT_EQ(code(b), "model.tensor_missing");
}

TEST_F(GgufCheckpointTest, OutputBiasOfQwen2IsRefused) {
  GgufBuilder b = tiny_gguf("qwen2");
  b.tensor("blk.0.attn_output.bias", {8}, tiny_values(8, 1));
  const auto e = error(b);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "model.tensor_extra");
  EXPECT_NE(e->hint.find("ignored in silence"), std::string::npos);
}

TEST_F(GgufCheckpointTest, RopeScaling) {
  GgufBuilder b = tiny_gguf("llama");
  b.string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 4.0F);
  EXPECT_EQ(open(b)->config().rope_scaling.type, RopeScaling::Type::linear);
  EXPECT_EQ(open(b)->config().rope_scaling.factor, 4.0);
  EXPECT_EQ(code(tiny_gguf("llama").string("llama.rope.scaling.type", "yarn")), "cfg.unsupported");
  EXPECT_EQ(code(tiny_gguf("llama").string("llama.rope.scaling.type", "linear")), "cfg.missing");  // C13
  EXPECT_EQ(
      code(
          tiny_gguf("llama").string("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 0)),
      "cfg.range");
  EXPECT_EQ(code(tiny_gguf("llama").string("llama.rope.scaling.type", "none")), "no error");
}

TEST_F(GgufCheckpointTest, RopeDivisorsOfLlama3) {
  GgufBuilder b = tiny_gguf("llama");
  b.tensor("rope_freqs.weight", {2}, {1.0F, 8.0F});
  const auto c = open(b);
  EXPECT_EQ(c->config().rope_scaling.type, RopeScaling::Type::llama3);
  EXPECT_EQ(c->config().rope_scaling.frequency_divisors, (std::vector<float>{1.0F, 8.0F}));
  EXPECT_EQ(c->find("rope_freqs.weight"), nullptr);
  b.at("rope_freqs.weight") = {"rope_freqs.weight", {3}, 0, bytes_of_all<float>({1, 1, 1}), std::nullopt};
  EXPECT_EQ(code(b), "model.tensor_shape");
  b.at("rope_freqs.weight") = {"rope_freqs.weight", {2}, 0, bytes_of_all<float>({1, 0}), std::nullopt};
  EXPECT_EQ(code(b), "cfg.range");
}

TEST_F(GgufCheckpointTest, C5_UnknownArchitecture) {
  GgufBuilder b = tiny_gguf("llama");
  b.remove("general.architecture").string("general.architecture", "bloom");
  const auto e = error(b);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "cfg.unsupported");
  EXPECT_EQ(e->expected, "llama, qwen2, qwen3, gemma, gemma2, gemma3, phi3, smollm3");
}

TEST_F(GgufCheckpointTest, C6_C8_Heads) {
  const auto with = [](const std::string& key, std::uint32_t value) {
    return tiny_gguf("llama").remove("llama." + key).u32("llama." + key, value);
  };
  EXPECT_EQ(code(with("attention.head_count", 0)), "cfg.heads");
  EXPECT_EQ(code(with("attention.head_count", 3)), "cfg.heads");
  EXPECT_EQ(code(with("attention.head_count_kv", 0)), "cfg.kv_heads");
  EXPECT_EQ(code(with("attention.head_count_kv", 3)), "cfg.kv_heads");
  EXPECT_EQ(code(with("attention.head_count_kv", 2)), "cfg.kv_heads");  // the k_proj has rows for one
  EXPECT_EQ(code(tiny_gguf("llama").u32("llama.attention.key_length", 8)), "cfg.shape_conflict");
  EXPECT_EQ(
      code(tiny_gguf("llama").u32("llama.attention.key_length", 4).u32("llama.attention.value_length", 8)),
      "cfg.unsupported");
  EXPECT_EQ(code(tiny_gguf("llama", {.hidden = 6, .heads = 2, .kv_heads = 2, .head_dim = 3})),
            "cfg.range");  // odd
}

TEST_F(GgufCheckpointTest, C9_T10_Vocabulary) {
  EXPECT_EQ(code(tiny_gguf("llama").u32("llama.vocab_size", 11)), "cfg.vocab");
  EXPECT_EQ(code(tiny_gguf("llama").u32("llama.vocab_size", 10)), "no error");
  EXPECT_EQ(code(tiny_gguf("llama").strings("tokenizer.ggml.tokens", std::vector<std::string>(11, "x"))),
            "cfg.vocab");
  EXPECT_EQ(code(tiny_gguf("llama").strings("tokenizer.ggml.tokens", std::vector<std::string>(9, "x"))),
            "no error");
  GgufBuilder b = tiny_gguf("qwen2");
  b.at("output.weight").shape = {9, 8};
  b.at("output.weight").data.resize(9 * 8 * 4);
  EXPECT_EQ(code(b), "cfg.vocab");
}

TEST_F(GgufCheckpointTest, C10_Layers) {
  const auto layers = [](std::uint32_t n) {
    return tiny_gguf("llama").remove("llama.block_count").u32("llama.block_count", n);
  };
  EXPECT_EQ(code(layers(1)), "cfg.layers");
  EXPECT_EQ(code(layers(3)), "cfg.layers");
  EXPECT_EQ(code(layers(0)), "cfg.range");
  EXPECT_EQ(code(layers(0x80000000)), "cfg.range");  // C11
}

TEST_F(GgufCheckpointTest, C12_Numbers) {
  const auto with = [](const std::string& key, float value) {
    return tiny_gguf("llama").remove("llama." + key).f32("llama." + key, value);
  };
  EXPECT_EQ(code(with("attention.layer_norm_rms_epsilon", 0)), "cfg.range");
  EXPECT_EQ(code(with("attention.layer_norm_rms_epsilon", -1)), "cfg.range");
  EXPECT_EQ(code(with("rope.freq_base", 0)), "cfg.range");
  EXPECT_EQ(code(with("rope.freq_base", std::numeric_limits<float>::infinity())), "gguf.value");
}

TEST_F(GgufCheckpointTest, C15_UnsupportedVariants) {
  EXPECT_EQ(code(tiny_gguf("llama").u32("llama.expert_count", 8)), "cfg.unsupported");
  EXPECT_EQ(code(tiny_gguf("llama").u32("llama.expert_count", 0)), "no error");
  EXPECT_EQ(code(tiny_gguf("llama").u32("llama.rope.dimension_count", 2)), "cfg.unsupported");
  EXPECT_EQ(code(tiny_gguf("llama").f32("llama.attention.scale", 2)), "cfg.unsupported");
  EXPECT_EQ(code(tiny_gguf("qwen2").u32("qwen2.attention.sliding_window", 32)), "cfg.unsupported");
  EXPECT_EQ(code(tiny_gguf("llama").raw("split.count", 2, test::bytes_of<std::uint16_t>(2))),
            "gguf.split");  // G14
}

TEST_F(GgufCheckpointTest, C18_TokenIds) {
  EXPECT_EQ(code(tiny_gguf("llama").u32("tokenizer.ggml.eot_token_id", 10)), "cfg.token_id");
  EXPECT_EQ(
      code(tiny_gguf("llama").raw("tokenizer.ggml.eot_token_id", GgufBuilder::kI32, test::bytes_of(-1))),
      "cfg.token_id");
}

TEST_F(GgufCheckpointTest, G12_MissingKeysAreNamed) {
  for (const char* key : {"block_count", "context_length", "embedding_length", "feed_forward_length",
                          "attention.head_count", "attention.layer_norm_rms_epsilon"}) {
    const auto e = error(tiny_gguf("llama").remove("llama." + std::string(key)));
    ASSERT_TRUE(e) << key;
    EXPECT_EQ(e->code, "cfg.missing") << key;
    EXPECT_NE(e->where.find(key), std::string::npos);
  }
  EXPECT_EQ(code(tiny_gguf("llama").remove("general.architecture")), "cfg.missing");
}

TEST_F(GgufCheckpointTest, G12_KeysOfTheWrongTypeOrAgainstTheTensors) {
  const auto with = [&](const std::string& key, auto set) {
    GgufBuilder b = tiny_gguf("llama");
    b.remove("llama." + key);
    set(b, "llama." + key);
    return error(b).value_or(ErrorFields{.code = "no error"});
  };
  const auto text = [](GgufBuilder& b, const std::string& key) { b.string(key, "2"); };
  const auto real = [](GgufBuilder& b, const std::string& key) { b.f32(key, 2); };
  for (const char* key : {"block_count", "embedding_length", "attention.head_count"}) {
    for (const ErrorFields& e : {with(key, text), with(key, real)}) {
      EXPECT_EQ(e.code, "cfg.type") << key;
      EXPECT_EQ(e.where, "metadata \"llama." + std::string(key) + "\"");
    }
  }
  const auto larger =
      with("embedding_length", [](GgufBuilder& b, const std::string& key) { b.u32(key, 16); });
  EXPECT_TRUE(larger.code.starts_with("cfg.") || larger.code == "model.tensor_shape") << larger.code;
  const auto inner =
      with("feed_forward_length", [](GgufBuilder& b, const std::string& key) { b.u32(key, 13); });
  EXPECT_EQ(inner.code, "model.tensor_shape");
  EXPECT_NE(inner.where.find("mlp."), std::string::npos) << inner.where;
}

// Every scale of every kind of block, infinite and NaN.
TEST_F(GgufCheckpointTest, G15_EveryScaleOfEveryBlock) {
  struct Kind {
    std::uint32_t type;
    size_t values, bytes;
    std::vector<size_t> scales;  // where a block's float16 numbers stand
  };
  const Kind kinds[] = {{2, 32, 18, {0}},      {3, 32, 20, {0, 2}},    {6, 32, 22, {0}},
                        {7, 32, 24, {0, 2}},   {8, 32, 34, {0}},       {10, 256, 84, {80, 82}},
                        {11, 256, 110, {108}}, {12, 256, 144, {0, 2}}, {13, 256, 176, {0, 2}},
                        {14, 256, 210, {208}}};
  for (const Kind& kind : kinds) {
    for (const size_t scale : kind.scales) {
      for (const std::uint16_t bad : {0x7C00, 0xFC00, 0x7E00}) {
        GgufBuilder b = tiny_gguf("llama", {.layers = 1, .hidden = 256, .heads = 64});
        GgufBuilder::Tensor& t = b.at("blk.0.ffn_up.weight");  // 12 rows of 256
        t.type = kind.type;
        t.data = std::string(12 * 256 / kind.values * kind.bytes, '\x11');
        t.data.replace(2 * kind.bytes + scale, 2, test::bytes_of(bad));
        const auto c = open(b);
        const auto e = test::error_of([&] { (void)read(*c, "model.layers.0.mlp.up_proj.weight"); });
        ASSERT_TRUE(e) << kind.type << " " << scale;
        EXPECT_EQ(e->code, "num.nonfinite");
        EXPECT_NE(e->found.find("the first at flat index " + std::to_string(2 * kind.values)),
                  std::string::npos)
            << kind.type << " " << e->found;
      }
    }
  }
}

TEST_F(GgufCheckpointTest, G15_ScaleThatIsNotFinite) {
  GgufBuilder b = tiny_gguf("llama", {.hidden = 32, .heads = 8});
  GgufBuilder::Tensor& t = b.at("blk.0.ffn_up.weight");
  t.type = 2;  // Q4_0: 12 rows of one block of 18 bytes
  t.data = std::string(12 * 18, '\x11');
  ASSERT_EQ(code(b), "no error");
  t.data[5 * 18] = '\0';
  t.data[5 * 18 + 1] = '\x7C';  // infinity
  const auto c = open(b);
  const auto e = test::error_of([&] { (void)read(*c, "model.layers.0.mlp.up_proj.weight"); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "num.nonfinite");
  EXPECT_NE(e->found.find("32 NaN or infinite, the first at flat index 160 "), std::string::npos) << e->found;
}

TEST_F(GgufCheckpointTest, G16_TensorsMissingExtraOrOfAnotherShape) {
  EXPECT_EQ(code(tiny_gguf("llama").remove_tensor("blk.1.ffn_up.weight")), "model.tensor_missing");
  EXPECT_EQ(code(tiny_gguf("llama").remove_tensor("output_norm.weight")), "model.tensor_missing");
  EXPECT_EQ(code(tiny_gguf("llama").remove_tensor("token_embd.weight")), "model.tensor_missing");
  EXPECT_EQ(code(tiny_gguf("qwen2").remove_tensor("blk.0.attn_v.bias")), "model.tensor_missing");
  EXPECT_EQ(code(tiny_gguf("llama").tensor("blk.0.surplus.weight", {1}, {0})), "model.tensor_extra");
  EXPECT_EQ(code(tiny_gguf("llama").tensor("surplus", {1}, {0})), "model.tensor_extra");
  GgufBuilder b = tiny_gguf("llama");
  b.at("blk.0.ffn_up.weight").shape = {8, 12};  // transposed
  EXPECT_EQ(code(b), "model.tensor_shape");
}

TEST_F(GgufCheckpointTest, RowsOutOfRangeAreRefused) {
  const auto c = open(tiny_gguf("llama"));
  const CheckpointTensor& t = *c->find("model.norm.weight");
  std::vector<float> out(8);
  EXPECT_EQ(test::code_of([&] { c->read_rows(t, 0, 9, out); }), "arg.shape");
  EXPECT_EQ(test::code_of([&] { c->read_rows(t, 0, 7, out); }), "arg.shape");
  EXPECT_EQ(test::code_of([&] { c->read_rows(t, 5, 2, out); }), "arg.shape");
}

TEST_F(GgufCheckpointTest, IsReadFromSeveralThreads) {
  const auto c = open(tiny_gguf("llama"));
  const std::string digest = c->weights_digest();
  const CheckpointTensor& t = *c->find("model.layers.0.self_attn.q_proj.weight");
  std::vector<float> expected(8 * 8);
  c->read_rows(t, 0, 8, expected);
  std::vector<std::thread> threads;
  std::atomic<int> equal{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      std::vector<float> found(8 * 8);
      for (int n = 0; n < 50; ++n) {
        c->read_rows(t, 0, 8, found);
        equal += found == expected && c->weights_digest() == digest ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, 4 * 50);
}

TEST_F(GgufCheckpointTest, F6_FileThatChangesAfterOpening) {
  const auto c = open(tiny_gguf("llama"));
  std::vector<float> out(8);
  c->read_rows(*c->find("model.norm.weight"), 0, 8, out);
  GgufBuilder other = tiny_gguf("llama");
  other.string("general.name", "written over it");
  folder_.write("m.gguf", other.build());
  EXPECT_EQ(test::code_of([&] { c->read_rows(*c->find("model.norm.weight"), 0, 8, out); }), "io.changed");
}

TEST_F(GgufCheckpointTest, DigestSeesEveryTensorByteAndOnlyTensors) {
  const std::string digest = open(tiny_gguf("llama"))->weights_digest();
  EXPECT_EQ(digest.size(), 64U);
  EXPECT_EQ(open(tiny_gguf("llama").string("general.name", "x"))->weights_digest(), digest);
  GgufBuilder b = tiny_gguf("llama");
  std::swap(b.tensors[1], b.tensors[3]);  // another order in the file
  EXPECT_EQ(open(b)->weights_digest(), digest);
  for (size_t i = 0; i < b.tensors.size(); ++i) {
    b = tiny_gguf("llama");
    b.tensors[i].data[1] = static_cast<char>(b.tensors[i].data[1] ^ 1);
    EXPECT_NE(open(b)->weights_digest(), digest) << b.tensors[i].name;
  }
}

TEST(PackagedModels, OpenQuicklyAndSayWhatTheyAre) {
  const std::clock_t begin = std::clock();  // of this process: the machine may be busy
  const auto qwen = Checkpoint::open(test::qwen_path());
  EXPECT_LT(std::clock() - begin, 2 * CLOCKS_PER_SEC);
  EXPECT_EQ(qwen->config().num_hidden_layers, 28);
  EXPECT_EQ(qwen->config().head_dim, 128);
  EXPECT_FALSE(qwen->config().tie_word_embeddings);
  EXPECT_EQ(qwen->config().eos_token_ids, std::vector<std::int64_t>{151645});
  const auto smol = Checkpoint::open(test::smollm2_path());
  EXPECT_EQ(smol->config().num_key_value_heads, 3);
  EXPECT_EQ(smol->config().rope_theta, 100000.0);
  EXPECT_TRUE(smol->config().tie_word_embeddings);
  EXPECT_EQ(smol->find("model.embed_tokens.weight")->storage, "Q8_0");
}

}  // namespace
}  // namespace safetylock
