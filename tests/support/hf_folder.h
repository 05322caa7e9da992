// Tiny Hugging Face folders for tests: a config as JSON and the tensors it announces.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/json.h"
#include "formats/safetensors.h"
#include "support/gguf_builder.h"
#include "support/temporary.h"

namespace safetylock::test {

struct HfFolder {
  Json config;
  std::vector<SafetensorsEntry> tensors;

  SafetensorsEntry& at(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  }
  HfFolder& remove(const std::string& name) {
    std::erase_if(tensors, [&](const auto& t) { return t.name == name; });
    return *this;
  }
  HfFolder& add(std::string name, std::vector<std::uint64_t> shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t n : shape) count *= n;
    const auto seed = static_cast<float>(tensors.size() + 1);
    tensors.push_back(SafetensorsEntry::f32(std::move(name), std::move(shape), tiny_values(count, seed)));
    return *this;
  }
  /// Writes config.json and model.safetensors into `folder`.
  void write(const TemporaryFolder& folder) const {
    folder.write("config.json", config.dump(2));
    folder.write("model.safetensors", safetensors_to_bytes(tensors, {{"format", "pt"}}));
  }
};

/// `type` is "llama" or "qwen2"; biases as given, for qwen2 always on q, k and v.
inline HfFolder tiny_hf(const std::string& type, bool attention_bias = false, bool mlp_bias = false,
                        const TinyDims& d = {}) {
  HfFolder f;
  f.config = {{"architectures", {type == "llama" ? "LlamaForCausalLM" : "Qwen2ForCausalLM"}},
              {"model_type", type},
              {"hidden_act", "silu"},
              {"num_hidden_layers", d.layers},
              {"hidden_size", d.hidden},
              {"intermediate_size", d.inner},
              {"num_attention_heads", d.heads},
              {"num_key_value_heads", d.kv_heads},
              {"vocab_size", d.vocab},
              {"max_position_embeddings", 64},
              {"rms_norm_eps", 1e-5},
              {"rope_theta", 10000.0},
              {"tie_word_embeddings", false},
              {"bos_token_id", 1},
              {"eos_token_id", 2}};
  if (type == "llama") {
    f.config["attention_bias"] = attention_bias;
    f.config["mlp_bias"] = mlp_bias;
  }
  if (d.head_dim * d.heads != d.hidden) f.config["head_dim"] = d.head_dim;
  const bool qkv = attention_bias || type == "qwen2";
  const bool out = attention_bias && type == "llama";
  const auto linear = [&](const std::string& name, std::uint64_t rows, std::uint64_t columns, bool bias) {
    f.add(name + ".weight", {rows, columns});
    if (bias) f.add(name + ".bias", {rows});
  };
  const std::uint64_t q = d.heads * d.head_dim, kv = d.kv_heads * d.head_dim;
  f.add("model.embed_tokens.weight", {d.vocab, d.hidden});
  for (std::uint64_t layer = 0; layer < d.layers; ++layer) {
    const std::string p = "model.layers." + std::to_string(layer) + ".";
    f.add(p + "input_layernorm.weight", {d.hidden});
    linear(p + "self_attn.q_proj", q, d.hidden, qkv);
    linear(p + "self_attn.k_proj", kv, d.hidden, qkv);
    linear(p + "self_attn.v_proj", kv, d.hidden, qkv);
    linear(p + "self_attn.o_proj", d.hidden, q, out);
    f.add(p + "post_attention_layernorm.weight", {d.hidden});
    linear(p + "mlp.gate_proj", d.inner, d.hidden, mlp_bias);
    linear(p + "mlp.up_proj", d.inner, d.hidden, mlp_bias);
    linear(p + "mlp.down_proj", d.hidden, d.inner, mlp_bias);
  }
  f.add("model.norm.weight", {d.hidden}).add("lm_head.weight", {d.vocab, d.hidden});
  return f;
}

}  // namespace safetylock::test
