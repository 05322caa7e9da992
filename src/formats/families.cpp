#include "formats/families.h"

#include <algorithm>
#include <array>

namespace safetylock {
namespace {

using Biases = Family::Biases;
using Sliding = Family::Sliding;

// HF: models/*/configuration_*.py; GGUF: src/models/*.cpp of llama.cpp. Mistral's GGUF files say "llama".
constexpr std::array kFamilies = {
    Family{.architecture = "LlamaForCausalLM",
           .model_type = "llama",
           .gguf = "llama",
           .biases = Biases::by_config,
           .mlp_bias = true,
           .gguf_permutes_qk = true},
    Family{
        .architecture = "MistralForCausalLM",
        .model_type = "mistral",
        .gguf = "",
        .defaults = {.max_position_embeddings = 131'072, .num_key_value_heads = 8, .sliding_window = 4'096},
        .sliding = Sliding::all},
    Family{
        .architecture = "Qwen2ForCausalLM",
        .model_type = "qwen2",
        .gguf = "qwen2",
        .defaults = {.max_position_embeddings = 32'768, .num_key_value_heads = 32, .sliding_window = 4'096},
        .biases = Biases::qkv,
        .sliding = Sliding::use_sliding_window},
    Family{.architecture = "Qwen3ForCausalLM",
           .model_type = "qwen3",
           .gguf = "qwen3",
           .defaults = {.max_position_embeddings = 32'768,
                        .num_key_value_heads = 32,
                        .head_dim = 128,
                        .sliding_window = 4'096},
           .biases = Biases::by_config,
           .sliding = Sliding::use_sliding_window,
           .qk_norm = true},
    Family{.architecture = "GemmaForCausalLM",
           .model_type = "gemma",
           .gguf = "gemma",
           .defaults = {.max_position_embeddings = 8'192,
                        .num_key_value_heads = 16,
                        .head_dim = 256,
                        .tie_word_embeddings = true},
           .biases = Biases::by_config,
           .gelu = true,
           .unit_offset_norm = true,
           .scaled_embedding = true},
    Family{.architecture = "Gemma2ForCausalLM",
           .model_type = "gemma2",
           .gguf = "gemma2",
           .defaults = {.max_position_embeddings = 8'192,
                        .num_key_value_heads = 4,
                        .head_dim = 256,
                        .sliding_window = 4'096,
                        .tie_word_embeddings = true},
           .biases = Biases::by_config,
           .sliding = Sliding::alternate,
           .gelu = true,
           .sandwich_norm = true,
           .unit_offset_norm = true,
           .scaled_embedding = true,
           .attn_logit_softcapping = 50.0,
           .final_logit_softcapping = 30.0,
           .query_pre_attn_scalar = 256.0},
    Family{.architecture = "Gemma3ForCausalLM",
           .model_type = "gemma3_text",
           .gguf = "gemma3",
           .defaults = {.max_position_embeddings = 131'072,
                        .num_key_value_heads = 4,
                        .head_dim = 256,
                        .sliding_window = 4'096,
                        .rope_theta = 1'000'000.0,
                        .tie_word_embeddings = true},
           .biases = Biases::by_config,
           .sliding = Sliding::pattern,
           .gelu = true,
           .qk_norm = true,
           .sandwich_norm = true,
           .unit_offset_norm = true,
           .scaled_embedding = true,
           .final_logit_softcapping = 0.0,
           .query_pre_attn_scalar = 256.0,
           .rope_local_base_freq = 10'000.0},
    Family{.architecture = "Phi3ForCausalLM",
           .model_type = "phi3",
           .gguf = "phi3",
           .defaults = {.max_position_embeddings = 4'096, .rms_norm_eps = 1e-5},
           .sliding = Sliding::all,
           .fused_projections = true,
           .long_rope = true},
    Family{.architecture = "SmolLM3ForCausalLM",
           .model_type = "smollm3",
           .gguf = "smollm3",
           .defaults = {.max_position_embeddings = 32'768,
                        .num_key_value_heads = 4,
                        .rope_theta = 2'000'000.0,
                        .tie_word_embeddings = true},
           .biases = Biases::by_config,
           .mlp_bias = true,
           .sliding = Sliding::use_sliding_window,
           .no_rope_layer_interval = 4,
           .gguf_permutes_qk = true},
};

template <typename Name>
std::string joined(const Name& name) {
  std::string text;
  for (const Family& f : kFamilies) {
    const std::string part = name(f);
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

}  // namespace

std::span<const Family> families() {
  return kFamilies;
}

const Family* family_of_gguf(std::string_view architecture) {
  const auto it = std::find_if(kFamilies.begin(), kFamilies.end(),
                               [&](const Family& f) { return !f.gguf.empty() && f.gguf == architecture; });
  return it == kFamilies.end() ? nullptr : &*it;
}

const Family* family_of_class(std::string_view architecture) {
  const auto it = std::find_if(kFamilies.begin(), kFamilies.end(),
                               [&](const Family& f) { return f.architecture == architecture; });
  return it == kFamilies.end() ? nullptr : &*it;
}

void set_family(ModelConfig& c, const Family& f) {
  c.architecture = f.architecture;
  c.model_type = f.model_type;
  c.hidden_act = f.gelu ? Activation::gelu_pytorch_tanh : Activation::silu;
  c.qk_norm = f.qk_norm;
  c.sandwich_norm = f.sandwich_norm;
  c.unit_offset_norm = f.unit_offset_norm;
  c.scaled_embedding = f.scaled_embedding;
  c.fused_projections = f.fused_projections;
}

std::string supported_classes() {
  return joined(
      [](const Family& f) { return std::string(f.architecture) + " (" + std::string(f.model_type) + ")"; });
}

std::string supported_gguf_architectures() {
  return joined([](const Family& f) { return std::string(f.gguf); });
}

}  // namespace safetylock
