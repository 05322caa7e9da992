#include "formats/lora_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "formats/config_limits.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr const char* kFile = "adapter_config.json";
constexpr std::int64_t kMaxRank = 65'536;

// Fields that are read below or change nothing about a trained adapter. Any other one that is set could, so
// it is refused.
constexpr std::array<std::string_view, 27> kKnownFields = {"peft_type",
                                                           "peft_version",
                                                           "task_type",
                                                           "auto_mapping",
                                                           "base_model_name_or_path",
                                                           "revision",
                                                           "inference_mode",
                                                           "r",
                                                           "lora_alpha",
                                                           "lora_dropout",
                                                           "rank_pattern",
                                                           "alpha_pattern",
                                                           "use_rslora",
                                                           "target_modules",
                                                           "exclude_modules",
                                                           "layers_to_transform",
                                                           "layers_pattern",
                                                           "modules_to_save",
                                                           "init_lora_weights",
                                                           "bias",
                                                           "megatron_core",
                                                           "qalora_group_size",
                                                           "eva_config",
                                                           "runtime_config",
                                                           "fan_in_fan_out",
                                                           "lora_bias",
                                                           "ensure_weight_tying"};

// Ways to initialise that leave the base's weights as they are. Others (pissa, olora, corda ...) change the
// base too, so that A and B alone are not the adapter.
constexpr std::array<std::string_view, 3> kPlainInitialisations = {"gaussian", "eva", "orthogonal"};

bool is_set(const Json& v) {
  if (v.is_null() || (v.is_boolean() && !v.get<bool>())) return false;
  return !((v.is_array() || v.is_object() || v.is_string()) && v.empty());
}

// No metacharacter but the dot, which stands for itself in every module path.
bool is_plain_pattern(std::string_view key) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  };
  return !key.empty() && std::all_of(key.begin(), key.end(), plain);
}

class Reader {
 public:
  Reader(const Json& json, const std::string& file) : o_(json, file) { c_.file = file; }

  LoraConfig read() {
    if (o_.string_or("peft_type", "") != "LORA") fail("lora.config", "peft_type", "LORA", found("peft_type"));
    refuse_unsupported();
    c_.base_model = o_.string_or("base_model_name_or_path", "");
    read_rank();
    read_alpha();
    c_.rank_stabilised = o_.boolean_or("use_rslora", false);
    read_targets();
    c_.modules_to_save = strings("modules_to_save");
    c_.ensure_weight_tying = o_.boolean_or("ensure_weight_tying", false);
    return c_;
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& key, const std::string& expected,
                         const std::string& found_text, const std::string& hint = "") const {
    throw Error({code, o_.file(), o_.pointer_to(escape_untrusted(key)), expected, found_text, hint});
  }
  std::string found(const std::string& key) const {
    return o_.value().contains(key) ? describe_json(o_.value()[key]) : "no such field";
  }
  [[noreturn]] void unsupported(const std::string& key, const std::string& expected) const {
    fail("lora.unsupported", key, expected, found(key),
         "This kind of adapter is not supported; merge it with PEFT first");
  }

  void refuse_unsupported() const {
    for (const auto& [key, value] : o_.value().items()) {
      const bool known = std::find(kKnownFields.begin(), kKnownFields.end(), key) != kKnownFields.end();
      if (!known && is_set(value)) unsupported(key, "it unset");
    }
    for (const char* key : {"fan_in_fan_out", "lora_bias"}) {
      if (o_.has(key) && is_set(o_.at(key))) unsupported(key, "false");
    }
    if (o_.string_or("bias", "none") != "none") unsupported("bias", "none");
    if (o_.has("init_lora_weights") && !o_.at("init_lora_weights").is_boolean()) {
      const auto& plain = kPlainInitialisations;
      if (std::find(plain.begin(), plain.end(), o_.string("init_lora_weights")) == plain.end()) {
        unsupported("init_lora_weights", "an initialisation that leaves the base as it is");
      }
    }
  }

  std::int64_t rank_from(const std::string& key, const Json& v) const {
    if (!v.is_number_integer() || v.get<double>() < 1 || v.get<double>() > static_cast<double>(kMaxRank)) {
      fail("lora.rank", key, "a whole number from 1 to " + std::to_string(kMaxRank), describe_json(v));
    }
    return v.get<std::int64_t>();
  }
  double alpha_from(const std::string& key, const Json& v) const {
    if (!v.is_number() || !(v.get<double>() > 0) || !std::isfinite(v.get<double>())) {
      fail("lora.alpha", key, "a finite number above 0", describe_json(v),
           "An adapter of alpha 0 would do nothing");
    }
    return v.get<double>();
  }

  void read_rank() {
    c_.rank = rank_from("r", o_.has("r") ? o_.at("r") : Json());
    for (const auto& [key, value] : pattern("rank_pattern"))
      c_.rank_pattern.emplace_back(key, rank_from("rank_pattern/" + key, value));
  }
  void read_alpha() {
    c_.alpha = alpha_from("lora_alpha", o_.has("lora_alpha") ? o_.at("lora_alpha") : Json());
    for (const auto& [key, value] : pattern("alpha_pattern")) {
      c_.alpha_pattern.emplace_back(key, alpha_from("alpha_pattern/" + key, value));
    }
  }

  std::vector<std::pair<std::string, Json>> pattern(const char* name) const {
    std::vector<std::pair<std::string, Json>> entries;
    if (!o_.has(name)) return entries;
    for (const auto& [key, value] : o_.object(name).value().items()) {
      if (!is_plain_pattern(key)) {
        fail("lora.unsupported", std::string(name) + "/" + key, "a module path or the end of one",
             "a regular expression");
      }
      entries.emplace_back(key, value);
    }
    return entries;
  }

  std::vector<std::string> strings(const char* key) const {
    std::vector<std::string> out;
    if (!o_.has(key)) return out;
    const Json& list = o_.at(key);
    const bool sound =
        list.is_array() && std::all_of(list.begin(), list.end(), [](const Json& v) { return v.is_string(); });
    if (!sound) fail("lora.config", key, "a list of names", describe_json(list));
    for (const Json& v : list) out.push_back(v.get<std::string>());
    return out;
  }

  void read_targets() {
    for (const char* key : {"exclude_modules", "layers_to_transform", "layers_pattern"}) {
      c_.restricted = c_.restricted || (o_.has(key) && is_set(o_.at(key)));
    }
    if (o_.has("target_modules") && o_.at("target_modules").is_string()) {
      // Any other text is a regular expression. Which modules it meant is then known from the file alone.
      c_.all_linear = o_.string("target_modules") == "all-linear";
      return;
    }
    c_.targets = strings("target_modules");
  }

  JsonObject o_;
  LoraConfig c_;
};

template <typename T>
T first_match(const std::vector<std::pair<std::string, T>>& pattern, std::string_view module, T otherwise) {
  const auto it = std::find_if(pattern.begin(), pattern.end(),
                               [&](const auto& p) { return matches_module(p.first, module); });
  return it == pattern.end() ? otherwise : it->second;
}

}  // namespace

bool matches_module(std::string_view key, std::string_view module) {
  if (!module.ends_with(key)) return false;
  return module.size() == key.size() || module[module.size() - key.size() - 1] == '.';
}

std::int64_t LoraConfig::rank_of(std::string_view module) const {
  return first_match(rank_pattern, module, rank);
}

double LoraConfig::scale_of(std::string_view module) const {
  const double a = first_match(alpha_pattern, module, alpha);
  const auto r = static_cast<double>(rank_of(module));
  return rank_stabilised ? a / std::sqrt(r) : a / r;
}

bool LoraConfig::saves(std::string_view module) const {
  const auto listed = [&](std::string_view m) {
    return std::any_of(modules_to_save.begin(), modules_to_save.end(),
                       [&](const std::string& saved) { return matches_module(saved, m); });
  };
  const auto in_vocabulary = [](std::string_view m) {
    return matches_module("embed_tokens", m) || matches_module("lm_head", m);
  };
  if (listed(module)) return true;
  return ensure_weight_tying && in_vocabulary(module) &&
         std::any_of(modules_to_save.begin(), modules_to_save.end(), in_vocabulary);
}

LoraConfig read_lora_config(const std::string& folder) {
  const std::string file = model_file_label(folder, kFile);
  if (!has_model_file(folder, kFile)) {
    throw Error({"lora.config", escape_untrusted(folder, 1000), kFile, "the folder of a PEFT LoRA adapter",
                 "no such file", ""});
  }
  const JsonTree json = read_model_json(folder, kFile, limits::kConfigBytes);
  return Reader(json, file).read();
}

}  // namespace safetylock
