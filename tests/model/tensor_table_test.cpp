#include "model/tensor_table.h"

#include <set>

#include "support/errors.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::error_of;
using test::MemoryCheckpoint;

std::int64_t parameters(const ModelConfig& config) {
  std::int64_t sum = 0;
  for (const TensorSpec& spec : tensor_table(config)) {
    std::int64_t product = 1;
    for (const std::int64_t extent : spec.shape) product *= extent;
    sum += product;
  }
  return sum;
}

ModelConfig config_of(std::int64_t L, std::int64_t E, std::int64_t F, std::int64_t H, std::int64_t G,
                      std::int64_t V) {
  ModelConfig c;
  c.num_hidden_layers = L;
  c.hidden_size = E;
  c.intermediate_size = F;
  c.num_attention_heads = H;
  c.num_key_value_heads = G;
  c.head_dim = E / H;
  c.vocab_size = V;
  return c;
}

// Parameter counts as the models' makers publish them; no weights needed.
TEST(TensorTable, CountsTheParametersOfPublishedModels) {
  EXPECT_EQ(parameters(config_of(32, 4096, 14336, 32, 8, 128256)), 8'030'261'248);   // Llama-3-8B
  EXPECT_EQ(parameters(config_of(80, 8192, 28672, 64, 8, 128256)), 70'553'706'496);  // Llama-3-70B
  ModelConfig smollm2 = config_of(30, 576, 1536, 9, 3, 49152);
  smollm2.tie_word_embeddings = true;
  EXPECT_EQ(parameters(smollm2), 134'515'008);
  ModelConfig qwen = config_of(28, 3584, 18944, 28, 4, 152064);  // Qwen2.5-7B
  qwen.attention_bias = true;
  EXPECT_EQ(parameters(qwen), 7'615'616'512);
}

TEST(TensorTable, NamesExactlyTheTensorsThatTransformersSaves) {
  for (const std::string& name : test::tiny_model_names()) {
    const auto checkpoint = Checkpoint::open(test::tiny_model_path(name));
    std::set<std::string> saved, expected;
    for (const CheckpointTensor& tensor : checkpoint->tensors()) saved.insert(tensor.name);
    for (const TensorSpec& spec : tensor_table(checkpoint->config())) expected.insert(spec.name);
    EXPECT_EQ(saved, expected) << name;
    EXPECT_NO_THROW(check_tensors(*checkpoint)) << name;
  }
}

TEST(TensorTable, RefusesAMissingTensorByName) {
  const auto checkpoint = MemoryCheckpoint::copy_of("llama_gqa");
  checkpoint->erase("model.layers.1.mlp.up_proj.weight");
  const auto error = error_of([&] { check_tensors(*checkpoint); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "model.tensor_missing");
  EXPECT_NE(error->found.find("model.layers.1.mlp.up_proj.weight"), std::string::npos);
}

// An o_proj bias that the config does not announce would be ignored: a baked model would be served unlocked.
TEST(TensorTable, RefusesATensorThatWouldBeIgnored) {
  const auto checkpoint = MemoryCheckpoint::copy_of("llama_gqa");
  checkpoint->set("model.layers.0.self_attn.o_proj.bias", {32}, std::vector<float>(32));
  const auto error = error_of([&] { check_tensors(*checkpoint); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "model.tensor_extra");
  EXPECT_NE(error->found.find("o_proj.bias"), std::string::npos);
}

TEST(TensorTable, AllowsRotaryTablesOfOldExports) {
  const auto checkpoint = MemoryCheckpoint::copy_of("llama_gqa");
  checkpoint->set("model.layers.0.self_attn.rotary_emb.inv_freq", {4}, std::vector<float>(4));
  EXPECT_NO_THROW(check_tensors(*checkpoint));
}

TEST(TensorTable, RefusesATransposedTensor) {
  const auto checkpoint = MemoryCheckpoint::copy_of("llama_gqa");
  checkpoint->set("model.layers.0.mlp.down_proj.weight", {48, 32}, std::vector<float>(48 * 32));
  const auto error = error_of([&] { check_tensors(*checkpoint); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "model.tensor_shape");
  EXPECT_NE(error->where.find("down_proj"), std::string::npos);
  EXPECT_EQ(error->found, "[48, 32]");
}

}  // namespace
}  // namespace safetylock
