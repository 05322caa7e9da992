#include "bake/hf_documents.h"

#include <array>

#include "base/json.h"
#include "formats/config_limits.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr const char* kConfig = "config.json";
constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kRecord = "safetylock";

// Obeyed by the source's class and unknown to Llama's; what they said is checked in hf_target.
constexpr std::array kKeysOfOtherClasses = {
    "sliding_window", "use_sliding_window", "max_window_layers",     "layer_types",
    "resid_pdrop",    "embd_pdrop",         "partial_rotary_factor", "original_max_position_embeddings"};

std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void rename_class(Json& json, const ModelConfig& c, const HfTarget& target) {
  json["architectures"] = Json::array({target.architecture});
  json["model_type"] = target.model_type;
  for (const char* key : kKeysOfOtherClasses) json.erase(key);
  // transformers' classes differ in what they give to keys that are left out.
  json["num_key_value_heads"] = c.num_key_value_heads;
  json["head_dim"] = c.head_dim;
  json["max_position_embeddings"] = c.max_position_embeddings;
  json["rms_norm_eps"] = c.rms_norm_eps;
  json["hidden_act"] = "silu";
  json["tie_word_embeddings"] = c.tie_word_embeddings;
  json["mlp_bias"] = false;
  const auto parameters = json.find("rope_parameters");
  const bool has_parameters = parameters != json.end() && parameters->is_object();
  if (has_parameters) {
    parameters->erase("partial_rotary_factor");
    parameters->erase("original_max_position_embeddings");
    (*parameters)["rope_theta"] = c.rope_theta;
  }
  if (!has_parameters || json.contains("rope_theta")) json["rope_theta"] = c.rope_theta;
}

}  // namespace

std::string baked_config(const std::string& folder, const ModelConfig& config, const HfTarget& target,
                         const BakeRecord& record) {
  JsonTree tree = read_model_json(folder, kConfig, limits::kConfigBytes);
  Json& json = *tree;
  // Code that comes with a model knows nothing of the bias.
  json.erase("auto_map");
  json.erase("qkv_bias");
  if (target.renamed) rename_class(json, config, target);
  json["attention_bias"] = true;
  json[kRecord] = {{"lock_digest", record.lock_digest},
                   {"alpha", record.alpha},
                   {"base_architecture", record.base_architecture},
                   {"with_adapter", record.with_adapter}};
  return text_of(json);
}

std::string pinned_tokenizer_config(const std::string& folder, const std::string& tokenizer_class) {
  JsonTree tree(Json::object());
  if (has_model_file(folder, kTokenizerConfig))
    tree = read_model_json(folder, kTokenizerConfig, limits::kTokenizerConfigBytes);
  if (!tree->is_object()) {
    throw Error({"cfg.type", model_file_label(folder, kTokenizerConfig), "root", "an object",
                 describe_json(*tree), ""});
  }
  (*tree)["tokenizer_class"] = tokenizer_class;
  tree->erase("auto_map");
  return text_of(*tree);
}

std::string index_text(const std::map<std::string, std::string>& weight_map, std::uint64_t total_size) {
  JsonTree tree(Json::object());
  (*tree)["metadata"] = {{"total_size", total_size}};
  Json map = Json::object();
  auto& members = static_cast<Json::object_t::Container&>(map.get_ref<Json::object_t&>());
  for (const auto& [tensor, file] : weight_map) members.emplace_back(tensor, file);  // names are unique
  (*tree)["weight_map"] = std::move(map);
  return text_of(*tree);
}

}  // namespace safetylock
