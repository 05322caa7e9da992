#include "formats/tensor_table.h"

#include <gtest/gtest.h>

#include <set>

#include "formats/checkpoint.h"
#include "formats/families.h"

namespace safetylock {
namespace {

std::uint64_t parameters(const ModelConfig& config) {
  std::uint64_t sum = 0;
  for (const TensorSpec& spec : tensor_table(config)) {
    std::uint64_t product = 1;
    for (const std::uint64_t extent : spec.shape) product *= extent;
    sum += product;
  }
  return sum;
}

struct Published {
  const char* name;
  const char* architecture;
  std::int64_t L, E, F, H, G, D, V;
  bool tied;
  std::uint64_t parameters;  ///< as the model's makers publish them
};

// No weights needed.
TEST(TensorTable, CountsTheParametersOfPublishedModels) {
  for (const Published& p : {
           Published{"Llama-3-8B", "LlamaForCausalLM", 32, 4096, 14336, 32, 8, 128, 128256, false,
                     8'030'261'248},
           {"Llama-3-70B", "LlamaForCausalLM", 80, 8192, 28672, 64, 8, 128, 128256, false, 70'553'706'496},
           {"SmolLM2-135M", "LlamaForCausalLM", 30, 576, 1536, 9, 3, 64, 49152, true, 134'515'008},
           {"Mistral-7B", "MistralForCausalLM", 32, 4096, 14336, 32, 8, 128, 32000, false, 7'241'732'096},
           {"Mistral-Nemo", "MistralForCausalLM", 40, 5120, 14336, 32, 8, 128, 131072, false, 12'247'782'400},
           {"Qwen2.5-7B", "Qwen2ForCausalLM", 28, 3584, 18944, 28, 4, 128, 152064, false, 7'615'616'512},
           {"Qwen3-0.6B", "Qwen3ForCausalLM", 28, 1024, 3072, 16, 8, 128, 151936, true, 596'049'920},
           {"Qwen3-8B", "Qwen3ForCausalLM", 36, 4096, 12288, 32, 8, 128, 151936, false, 8'190'735'360},
           {"gemma-2-2b", "Gemma2ForCausalLM", 26, 2304, 9216, 8, 4, 256, 256000, true, 2'614'341'888},
           {"gemma-3-270m", "Gemma3ForCausalLM", 18, 640, 2048, 4, 1, 256, 262144, true, 268'098'176},
           {"gemma-3-1b", "Gemma3ForCausalLM", 26, 1152, 6912, 4, 1, 256, 262144, true, 999'885'952},
           {"Phi-3-mini", "Phi3ForCausalLM", 32, 3072, 8192, 32, 32, 96, 32064, false, 3'821'079'552},
           {"Phi-4-mini", "Phi3ForCausalLM", 32, 3072, 8192, 24, 8, 128, 200064, true, 3'836'021'760},
           {"SmolLM3-3B", "SmolLM3ForCausalLM", 36, 2048, 11008, 16, 4, 128, 128256, true, 3'075'098'624},
       }) {
    const Family* family = family_of_class(p.architecture);
    ASSERT_NE(family, nullptr) << p.name;
    ModelConfig c;
    set_family(c, *family);
    c.num_hidden_layers = p.L;
    c.hidden_size = p.E;
    c.intermediate_size = p.F;
    c.num_attention_heads = p.H;
    c.num_key_value_heads = p.G;
    c.head_dim = p.D;
    c.vocab_size = p.V;
    c.tie_word_embeddings = p.tied;
    c.attention_bias = family->biases == Family::Biases::qkv;
    EXPECT_EQ(parameters(c), p.parameters) << p.name;
  }
}

TEST(TensorTable, NamesExactlyTheTensorsThatTransformersSaves) {
  for (const char* name : {"llama_gqa", "llama_biases", "llama_tied", "qwen2", "qwen3", "mistral", "gemma",
                           "gemma2", "gemma3", "phi3", "phi4_mini", "smollm3"}) {
    const auto checkpoint =
        Checkpoint::open(std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/model/" + name);
    std::set<std::string> saved, expected;
    for (const CheckpointTensor& tensor : checkpoint->tensors()) saved.insert(tensor.name);
    for (const TensorSpec& spec : tensor_table(checkpoint->config())) expected.insert(spec.name);
    EXPECT_EQ(saved, expected) << name;
  }
}

TEST(TensorTable, GivesEveryTensorTwoNamesOfItsOwn) {
  for (const Family& family : families()) {
    ModelConfig c;
    set_family(c, family);
    c.num_hidden_layers = 2;
    c.attention_bias = c.attention_out_bias = c.mlp_bias = true;
    std::set<std::string> names, gguf;
    for (const TensorSpec& spec : tensor_table(c)) {
      EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
      EXPECT_TRUE(gguf.insert(spec.gguf).second) << spec.gguf;
    }
  }
}

}  // namespace
}  // namespace safetylock
