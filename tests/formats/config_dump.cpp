// config_dump FOLDER...: one line of JSON for the config of each folder, {"error": CODE} for one that is
// refused. The counterpart of compare_configs.py.
#include <iostream>

#include "base/json.h"
#include "formats/hf_config.h"
#include "safetylock/error.h"

namespace {

using safetylock::Json;
using safetylock::ModelConfig;
using safetylock::RopeScaling;

Json rope_json(const ModelConfig& c) {
  const RopeScaling& r = c.rope_scaling;
  switch (r.type) {
    case RopeScaling::Type::none:
      return {{"rope_type", "default"}, {"rope_theta", c.rope_theta}};
    case RopeScaling::Type::linear:
      return {{"rope_type", "linear"}, {"rope_theta", c.rope_theta}, {"factor", r.factor}};
    case RopeScaling::Type::llama3:
      return {{"rope_type", "llama3"},
              {"rope_theta", c.rope_theta},
              {"factor", r.factor},
              {"low_freq_factor", r.low_freq_factor},
              {"high_freq_factor", r.high_freq_factor},
              {"original_max_position_embeddings", r.original_max_position_embeddings}};
    case RopeScaling::Type::longrope:
      return {{"rope_type", "longrope"},
              {"rope_theta", c.rope_theta},
              {"factor", r.factor},
              {"attention_factor", r.attention_factor},
              {"short_factor", r.short_factor},
              {"long_factor", r.long_factor},
              {"original_max_position_embeddings", r.original_max_position_embeddings}};
  }
  return nullptr;
}

Json layers_json(const ModelConfig& c) {
  Json layers = Json::array();
  for (std::int64_t l = 0; l < c.num_hidden_layers; ++l)
    layers.push_back({{"window", c.slides(l) ? c.sliding_window : 0}, {"rotates", c.rotates(l)}});
  return layers;
}

Json config_json(const std::string& folder) {
  try {
    const ModelConfig c = safetylock::read_hf_config(folder);
    return {{"model_type", c.model_type},
            {"architecture", c.architecture},
            {"num_hidden_layers", c.num_hidden_layers},
            {"hidden_size", c.hidden_size},
            {"intermediate_size", c.intermediate_size},
            {"num_attention_heads", c.num_attention_heads},
            {"num_key_value_heads", c.num_key_value_heads},
            {"head_dim", c.head_dim},
            {"vocab_size", c.vocab_size},
            {"max_position_embeddings", c.max_position_embeddings},
            {"rms_norm_eps", c.rms_norm_eps},
            {"rope", rope_json(c)},
            {"attention_bias", c.attention_bias},
            {"attention_out_bias", c.attention_out_bias},
            {"mlp_bias", c.mlp_bias},
            {"tie_word_embeddings", c.tie_word_embeddings},
            {"rotary_dim", c.rotary_size()},
            {"rope_local", c.rope_local_base_freq},
            {"layers", layers_json(c)},
            {"attention_scale", c.attention_scale()},
            {"attn_cap", c.attn_logit_softcapping},
            {"final_cap", c.final_logit_softcapping},
            {"eos_token_ids", c.eos_token_ids}};
  } catch (const safetylock::Error& e) {
    return {{"error", e.code()}, {"what", e.what()}};
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) std::cout << config_json(argv[i]).dump() << '\n';
  return 0;
}
