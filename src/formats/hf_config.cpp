#include "formats/hf_config.h"

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "formats/config_limits.h"
#include "formats/families.h"
#include "formats/hf_layers.h"
#include "formats/hf_rope.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr const char* kConfig = "config.json";
constexpr const char* kGenerationConfig = "generation_config.json";

class Reader {
 public:
  Reader(const Json& json, const std::string& file, IdleBiasKey idle_key)
      : o_(json, file), idle_key_(idle_key) {}

  ModelConfig read() {
    const Family& family = find_family();
    set_family(c_, family);
    refuse_unsupported(family);
    read_dimensions(family);
    read_hf_rope(o_, family, c_);
    read_hf_layers(o_, family, c_);
    read_biases(family);
    read_scores(family);
    c_.tie_word_embeddings = o_.boolean_or("tie_word_embeddings", family.defaults.tie_word_embeddings);
    if (o_.has("bos_token_id")) c_.bos_token_id = o_.integer("bos_token_id", 0, limits::kExtent);
    return c_;
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, o_.file(), where, expected, found, hint});
  }
  [[noreturn]] void unsupported(const std::string& key, const std::string& expected) const {
    fail("cfg.unsupported", "/" + key, expected, describe_json(o_.at(key)));
  }

  const Family& find_family() const {
    const std::string type = o_.string_or("model_type", "");
    std::string architecture;
    if (o_.has("architectures")) {
      const Json& list = o_.at("architectures");
      if (!list.is_array() || list.size() != 1 || !list[0].is_string()) {
        fail("cfg.type", "/architectures", "a list of one class name", describe_json(list));
      }
      architecture = list[0].get<std::string>();
    }
    for (const Family& f : families()) {
      const bool type_fits = type.empty() || type == f.model_type;
      const bool class_fits = architecture.empty() || architecture == f.architecture;
      if (type_fits && class_fits && !(type.empty() && architecture.empty())) {
        if (o_.has("auto_map")) {
          log::info("{}: auto_map names custom code, which is never run: {} is built in", o_.file(),
                    std::string(f.architecture));
        }
        return f;
      }
    }
    const std::string found =
        "\"" + escape_untrusted(architecture) + "\" with model_type \"" + escape_untrusted(type) + "\"";
    fail(o_.has("auto_map") ? "cfg.custom_code" : "cfg.unsupported", "/architectures", supported_classes(),
         found, o_.has("auto_map") ? "Code that comes with a model is never run" : "");
  }

  void refuse_unsupported(const Family& family) const {
    for (const char* key : {"quantization_config", "compression_config"}) {
      if (o_.has(key)) unsupported(key, "weights in float32, float16 or bfloat16");
    }
    for (const char* key : {"num_experts", "num_local_experts", "moe_intermediate_size"}) {
      if (o_.has(key)) unsupported(key, "a dense model");
    }
    for (const char* key : {"hidden_act", "hidden_activation"}) check_activation(family, key);
    if (o_.boolean_or("use_bidirectional_attention", false))
      unsupported("use_bidirectional_attention", "causal attention");
    check_dtype();
  }

  // "gelu" in a Gemma config is an old name of the approximation by tanh.
  void check_activation(const Family& family, const char* key) const {
    if (!o_.has(key)) return;
    const std::string stated = o_.string(key);
    const bool known = family.gelu ? stated == "gelu_pytorch_tanh" || stated == "gelu" : stated == "silu";
    if (!known) unsupported(key, family.gelu ? "gelu_pytorch_tanh" : "silu");
  }

  void check_dtype() const {
    if (o_.has("dtype") && o_.has("torch_dtype") && o_.string("dtype") != o_.string("torch_dtype")) {
      fail("cfg.conflict", "/dtype", "the value of torch_dtype, " + describe_json(o_.at("torch_dtype")),
           describe_json(o_.at("dtype")));
    }
  }

  void read_dimensions(const Family& family) {
    c_.num_hidden_layers = o_.integer("num_hidden_layers", 1, limits::kLayers);
    c_.hidden_size = o_.integer("hidden_size", 1, limits::kExtent);
    c_.intermediate_size = o_.integer("intermediate_size", 1, limits::kExtent);
    c_.vocab_size = o_.integer("vocab_size", 1, limits::kExtent);
    c_.num_attention_heads = o_.integer("num_attention_heads", INT64_MIN, INT64_MAX);
    c_.num_key_value_heads = key_value_heads(family);
    c_.max_position_embeddings = o_.integer_or("max_position_embeddings",
                                               family.defaults.max_position_embeddings, 1, limits::kContext);
    c_.rms_norm_eps = o_.number_or("rms_norm_eps", family.defaults.rms_norm_eps);
    if (o_.has("head_dim")) {
      c_.head_dim = o_.integer("head_dim", 1, limits::kHeadDim);
    } else if (family.defaults.head_dim > 0) {
      c_.head_dim = family.defaults.head_dim;
    } else if (c_.num_attention_heads > 0 && c_.hidden_size % c_.num_attention_heads == 0) {
      c_.head_dim = c_.hidden_size / c_.num_attention_heads;
    } else {
      fail("cfg.heads", "/num_attention_heads",
           "a divisor of the hidden size " + std::to_string(c_.hidden_size) + ", as no head_dim is given",
           std::to_string(c_.num_attention_heads));
    }
  }

  // A null stands for as many as heads, in every family.
  std::int64_t key_value_heads(const Family& family) const {
    const bool left_out = !o_.value().contains("num_key_value_heads");
    const std::int64_t otherwise = left_out && family.defaults.num_key_value_heads != 0
                                       ? family.defaults.num_key_value_heads
                                       : c_.num_attention_heads;
    return o_.integer_or("num_key_value_heads", otherwise, INT64_MIN, INT64_MAX);
  }

  void read_biases(const Family& family) {
    if (family.biases == Family::Biases::qkv) {
      c_.attention_bias = true;
      return;
    }
    c_.attention_bias = o_.boolean_or("attention_bias", false);
    if (family.biases == Family::Biases::none && c_.attention_bias) {
      if (idle_key_ == IdleBiasKey::refuse) {
        fail("cfg.unsupported", "/attention_bias",
             "false: " + c_.architecture + " has no biases in transformers", "true",
             "Engines that obey the key would compute something else; save the model as LlamaForCausalLM");
      }
      c_.attention_bias = false;
    }
    c_.attention_out_bias = c_.attention_bias;
    c_.mlp_bias = o_.boolean_or("mlp_bias", false);
    if (c_.mlp_bias && !family.mlp_bias) unsupported("mlp_bias", "false");
    if (o_.has("qkv_bias") && o_.boolean_or("qkv_bias", false) != c_.attention_bias) {
      fail("cfg.conflict", "/qkv_bias", "the value of attention_bias", describe_json(o_.at("qkv_bias")),
           "vLLM obeys qkv_bias and transformers does not: the model would differ between engines");
    }
  }

  // How attention scores and logits are scaled and capped. A null switches a cap off.
  void read_scores(const Family& family) {
    const auto cap = [&](const char* key, const std::optional<double>& otherwise) {
      if (!o_.value().contains(key)) return otherwise.value_or(0.0);
      if (!o_.has(key)) return 0.0;
      if (!otherwise) unsupported(key, "null: transformers does not obey it in " + c_.architecture);
      return positive(key);
    };
    c_.attn_logit_softcapping = cap("attn_logit_softcapping", family.attn_logit_softcapping);
    c_.final_logit_softcapping = cap("final_logit_softcapping", family.final_logit_softcapping);
    if (!family.query_pre_attn_scalar) return;
    c_.query_pre_attn_scalar =
        o_.has("query_pre_attn_scalar") ? positive("query_pre_attn_scalar") : *family.query_pre_attn_scalar;
  }

  double positive(const char* key) const {
    const double value = o_.number(key);
    if (!(value > 0)) fail("cfg.range", o_.pointer_to(key), "above 0", std::to_string(value));
    return value;
  }

  JsonObject o_;
  IdleBiasKey idle_key_;
  ModelConfig c_;
};

// An id or a list of ids.
std::vector<std::int64_t> token_ids(const JsonObject& o, const char* key) {
  const Json& v = o.at(key);
  const auto fail = [&](const Json& found) {
    throw Error({"cfg.token_id", o.file(), o.pointer_to(key), "a token id or a list of token ids",
                 describe_json(found), ""});
  };
  const auto id_of = [&](const Json& id) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > static_cast<std::uint64_t>(limits::kExtent))
      fail(id);
    return id.get<std::int64_t>();
  };
  if (!v.is_array()) return {id_of(v)};
  if (v.empty()) fail(v);
  std::vector<std::int64_t> ids;
  for (const Json& id : v) {
    if (std::find(ids.begin(), ids.end(), id_of(id)) == ids.end()) ids.push_back(id_of(id));
  }
  return ids;
}

std::string label_of_config(const std::string& folder) {
  return model_file_label(folder, kConfig);
}

}  // namespace

ModelConfig read_hf_config(const std::string& folder, IdleBiasKey idle_key) {
  const std::string file = label_of_config(folder);
  const JsonTree json = read_model_json(folder, kConfig, limits::kConfigBytes);
  ModelConfig config = Reader(json, file, idle_key).read();
  const JsonObject root(json, file);
  if (root.has("eos_token_id")) config.eos_token_ids = token_ids(root, "eos_token_id");
  // What generate() of transformers stops at: what generation_config.json says alone, config.json's where
  // there is no such file. Where the file is there and says nothing transformers would never stop; then
  // config.json's ids hold here.
  if (has_model_file(folder, kGenerationConfig)) {
    const std::string generation_file = model_file_label(folder, kGenerationConfig);
    const JsonTree generation = read_model_json(folder, kGenerationConfig, limits::kConfigBytes);
    const JsonObject g(generation, generation_file);
    if (g.has("eos_token_id")) config.eos_token_ids = token_ids(g, "eos_token_id");
  }
  validate(config, file);
  return config;
}

std::string stated_dtype(const std::string& folder) {
  const std::string file = label_of_config(folder);
  const JsonTree json = read_model_json(folder, kConfig, limits::kConfigBytes);
  const JsonObject root(json, file);
  return root.string_or("dtype", root.string_or("torch_dtype", ""));
}

}  // namespace safetylock
