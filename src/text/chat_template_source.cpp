#include "text/chat_template_source.h"

#include <array>

#include "base/file.h"
#include "base/json.h"
#include "formats/gguf.h"
#include "safetylock/error.h"
#include "text/template_execution.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 64U << 20U;  // tokenizer_config.json lists every added token

[[noreturn]] void fail_missing(const std::string& path, const std::string& expected) {
  throw Error({"template.missing", path, "", expected, "none",
               "A base model has no chat template; use the chat model it belongs to"});
}

ChatTemplateSource from_gguf(const std::string& path) {
  const GgufFile gguf(path);
  if (!gguf.has("tokenizer.chat_template")) fail_missing(path, "the metadata key tokenizer.chat_template");
  ChatTemplateSource found{gguf.string("tokenizer.chat_template"), path, {}};
  static constexpr std::array<std::pair<const char*, const char*>, 4> kTokens{{
      {"bos_token", "tokenizer.ggml.bos_token_id"},
      {"eos_token", "tokenizer.ggml.eos_token_id"},
      {"unk_token", "tokenizer.ggml.unknown_token_id"},
      {"pad_token", "tokenizer.ggml.padding_token_id"},
  }};
  for (const auto& [name, key] : kTokens) {
    if (!gguf.has(key)) continue;
    const auto& tokens = gguf.strings("tokenizer.ggml.tokens");
    const std::int64_t id = gguf.integer(key, 0, static_cast<std::int64_t>(tokens.size()) - 1);
    found.special_tokens.emplace_back(name, tokens[static_cast<size_t>(id)]);
  }
  return found;
}

// A special token is a string or an object with its text under "content".
SpecialTokens special_tokens_of(const JsonObject& config) {
  SpecialTokens tokens;
  for (const char* name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    if (!config.has(name)) continue;
    const bool object = config.at(name).is_object();
    tokens.emplace_back(name, object ? config.object(name).string("content") : config.string(name));
  }
  return tokens;
}

// `chat_template` is a string or a list of {"name", "template"}.
std::string template_of(const JsonObject& config) {
  const Json& value = config.at("chat_template");
  if (!value.is_array()) return config.string("chat_template");
  for (size_t i = 0; i < value.size(); ++i) {
    const JsonObject named(value[i], config.file(), config.pointer_to("chat_template/" + std::to_string(i)));
    if (named.string("name") == "default") return named.string("template");
  }
  fail_missing(config.file(), "a chat template named \"default\"");
}

ChatTemplateSource from_folder(const std::string& folder) {
  const std::string own_file = join_path(folder, "chat_template.jinja");
  const std::string config_file = join_path(folder, "tokenizer_config.json");
  const bool has_config = is_regular_file(config_file);
  const Json json =
      has_config ? parse_json(read_file(config_file, kMaxConfigBytes), config_file) : Json::object();
  const JsonObject config(json, config_file);
  if (is_regular_file(own_file)) {
    return {read_file(own_file, jinja::kMaxSourceBytes), own_file, special_tokens_of(config)};
  }
  if (!config.has("chat_template")) {
    fail_missing(folder, "chat_template.jinja, or chat_template in tokenizer_config.json");
  }
  return {template_of(config), config_file, special_tokens_of(config)};
}

}  // namespace

ChatTemplateSource find_chat_template(const std::string& path) {
  return is_directory(path) ? from_folder(path) : from_gguf(path);
}

}  // namespace safetylock
