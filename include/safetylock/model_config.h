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
  enum class Type { none, linear, llama3, longrope };
  Type type = Type::none;
  double factor = 1.0;  ///< > 0; positions (linear) or low frequencies (llama3) are divided by it
  // llama3 only:
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  /// llama3: where frequencies count as low. longrope: the longest sequence, in tokens, of the short factors.
  std::int64_t original_max_position_embeddings = 8192;
  /// GGUF only (tensor rope_freqs.weight): divisors of the inverse frequencies that already hold the llama3
  /// rule, [rotary_dim/2].
  std::vector<float> frequency_divisors = {};
  // longrope only: divisors of the inverse frequencies, [rotary_dim/2] each, and what cosines and sines are
  // multiplied by.
  std::vector<float> short_factor = {};
  std::vector<float> long_factor = {};
  double attention_factor = 1.0;
};

enum class Activation { silu, gelu_pytorch_tanh };

/// Letters used everywhere: L layers, H query heads, G key/value heads, D head_dim, E hidden_size, F
/// intermediate, V vocab.
struct ModelConfig {
  std::string architecture;              ///< a class of transformers, "LlamaForCausalLM"
  std::string model_type;                ///< "llama"
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
  bool attention_out_bias = false;  ///< bias on o_proj (follows attention_bias; Qwen2: never in HF)
  bool mlp_bias = false;
  bool tie_word_embeddings = false;
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;  ///< every id that ends a reply; never empty for a chat model

  // How a family varies the Llama decoder layer. The defaults are Llama's.
  Activation hidden_act = Activation::silu;
  bool qk_norm = false;                ///< an RMS norm over each head of q and k, before they are rotated
  bool sandwich_norm = false;          ///< what attention and MLP give is normalised before it is added
  bool unit_offset_norm = false;       ///< RMS norms multiply by 1 + weight, in float32, and round once
  bool scaled_embedding = false;       ///< embeddings are multiplied by sqrt(E), rounded to the dtype
  bool fused_projections = false;      ///< files hold qkv_proj and gate_up_proj (the maths is the same)
  std::int64_t rotary_dim = 0;         ///< first values of each head that are rotated; even; 0: all D
  double query_pre_attn_scalar = 0;    ///< scores are divided by its square root; 0: D
  double attn_logit_softcapping = 0;   ///< c > 0: a score s becomes c tanh(s / c); 0: it stays
  double final_logit_softcapping = 0;  ///< the same for logits
  std::int64_t sliding_window = 0;     ///< tokens a sliding layer sees, the newest included; 0: none slides
  std::vector<bool> sliding_layers;    ///< [L], or empty: none (HF: layer_types)
  double rope_local_base_freq = 0;     ///< rope_theta of sliding layers, unscaled; 0: all layers alike
  std::vector<bool> layers_without_rope;  ///< [L], or empty: none (HF: no_rope_layers, 0 where true here)

  std::int64_t attention_size() const noexcept { return num_attention_heads * head_dim; }  ///< H*D
  std::int64_t kv_size() const noexcept { return num_key_value_heads * head_dim; }         ///< G*D
  std::int64_t rotary_size() const noexcept { return rotary_dim > 0 ? rotary_dim : head_dim; }
  /// What q k^T is multiplied by.
  double attention_scale() const noexcept;
  bool slides(std::int64_t layer) const { return flag(sliding_layers, layer); }
  bool rotates(std::int64_t layer) const { return !flag(layers_without_rope, layer); }

 private:
  static bool flag(const std::vector<bool>& flags, std::int64_t layer) {
    return !flags.empty() && flags.at(static_cast<std::size_t>(layer));
  }
};

/// Throws Error cfg.heads, cfg.kv_heads, cfg.range ... naming `file` and the field when the numbers cannot be
/// a model.
void validate(const ModelConfig& config, const std::string& file);

/// Canonical one-line text of the fields that decide the architecture and its dimensions; the lock's
/// `config_digest` is its SHA-256. Equal for a model and all its fine-tunes.
std::string canonical_text(const ModelConfig& config);

}  // namespace safetylock
