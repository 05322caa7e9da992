// The hyperparameters of a decoder-only transformer, spelled as in Hugging Face's config.json.
//
// Thread rule: a value type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace safetylock {

/// Rotary position scaling ("rope_scaling" / "rope_parameters" in config.json; HF: modeling_rope_utils.py).
struct RopeScaling {
  enum class Type { none, linear, llama3 };
  Type type = Type::none;
  double factor = 1.0;  ///< > 0; positions (linear) or low frequencies (llama3) are divided by it
  // llama3 only:
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  std::int64_t original_max_position_embeddings = 8192;
  /// GGUF only (tensor rope_freqs.weight): divisors of the D/2 inverse frequencies that already hold the
  /// llama3 rule.
  std::vector<float> frequency_divisors;
};

/// Letters used everywhere: L layers, H query heads, G key/value heads, D head_dim, E hidden_size, F
/// intermediate, V vocab.
struct ModelConfig {
  std::string architecture;              ///< "LlamaForCausalLM" or "Qwen2ForCausalLM"
  std::string model_type;                ///< "llama" or "qwen2"
  std::int64_t num_hidden_layers = 0;    ///< L
  std::int64_t hidden_size = 0;          ///< E
  std::int64_t intermediate_size = 0;    ///< F
  std::int64_t num_attention_heads = 0;  ///< H
  std::int64_t num_key_value_heads = 0;  ///< G; divides H
  std::int64_t head_dim = 0;             ///< D; never derived when the file gives it (H*D may differ from E)
  std::int64_t vocab_size = 0;           ///< V, rows of the embedding
  std::int64_t max_position_embeddings = 0;  ///< context length in tokens
  double rms_norm_eps = 1e-6;                ///< > 0
  double rope_theta = 10000.0;               ///< > 0
  RopeScaling rope_scaling;
  bool attention_bias = false;      ///< biases on q, k and v (always true for Qwen2)
  bool attention_out_bias = false;  ///< bias on o_proj (Llama: follows attention_bias; Qwen2: never in HF)
  bool mlp_bias = false;
  bool tie_word_embeddings = false;
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;  ///< every id that ends a reply; never empty for a chat model

  std::int64_t attention_size() const noexcept { return num_attention_heads * head_dim; }  ///< H*D
  std::int64_t kv_size() const noexcept { return num_key_value_heads * head_dim; }         ///< G*D
};

/// Throws Error cfg.heads, cfg.kv_heads, cfg.range ... naming `file` and the field when the numbers cannot be
/// a model.
void validate(const ModelConfig& config, const std::string& file);

/// Canonical one-line text of the fields that decide the architecture and its dimensions; the lock's
/// `config_digest` is its SHA-256. Equal for a model and all its fine-tunes.
std::string canonical_text(const ModelConfig& config);

}  // namespace safetylock
