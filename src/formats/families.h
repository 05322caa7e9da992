// The model families, as data: names, the defaults of transformers' config classes, and how each varies the
// Llama decoder layer. A new family is a row here, and a variation in src/model if it brings a new one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "safetylock/model_config.h"

namespace safetylock {

struct Family {
  std::string_view architecture;  ///< class of transformers
  std::string_view model_type;
  std::string_view gguf;  ///< general.architecture; empty: llama.cpp has none of its own

  /// What transformers' config class gives to what config.json leaves out.
  struct Defaults {
    std::int64_t max_position_embeddings = 2'048;
    std::int64_t num_key_value_heads = 0;  ///< 0: as many as heads
    std::int64_t head_dim = 0;             ///< 0: hidden_size / heads
    std::int64_t sliding_window = 0;       ///< 0: none
    double rms_norm_eps = 1e-6;
    double rope_theta = 10'000.0;
    bool tie_word_embeddings = false;
  } defaults = {};

  enum class Biases { none, by_config, qkv };  ///< by_config: attention_bias, on q, k, v and o
  Biases biases = Biases::none;
  bool mlp_bias = false;  ///< mlp_bias is obeyed

  /// Which layers see only the last sliding_window tokens.
  enum class Sliding {
    none,
    all,                 ///< every layer, where sliding_window is set
    use_sliding_window,  ///< layers from max_window_layers on, where use_sliding_window is set
    alternate,           ///< every second one, the first included
    pattern,             ///< all but every sliding_window_pattern-th, 6 by default
  };
  Sliding sliding = Sliding::none;

  bool gelu = false;  ///< gelu_pytorch_tanh instead of silu
  bool qk_norm = false;
  bool sandwich_norm = false;
  bool unit_offset_norm = false;
  bool scaled_embedding = false;
  bool fused_projections = false;
  bool long_rope = false;  ///< rotary scaling is longrope, and partial_rotary_factor is obeyed
  // Keys that the family obeys, with their defaults.
  std::optional<double> attn_logit_softcapping = {};
  std::optional<double> final_logit_softcapping = {};
  std::optional<double> query_pre_attn_scalar = {};
  std::optional<double> rope_local_base_freq = {};
  std::optional<std::int64_t> no_rope_layer_interval = {};
  bool gguf_permutes_qk =
      false;  ///< llama.cpp pairs rows 2i and 2i+1 of q and k where HF pairs i and i + D/2
};

std::span<const Family> families();

/// Null when there is no such family.
const Family* family_of_gguf(std::string_view architecture);
const Family* family_of_class(std::string_view architecture);

/// Copies what the family fixes; leaves every number that a file states.
void set_family(ModelConfig& config, const Family& family);

/// "LlamaForCausalLM (llama), ..." for error texts.
std::string supported_classes();
/// "llama, qwen2, ..."
std::string supported_gguf_architectures();

}  // namespace safetylock
