#include "text/chat_template_source.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "formats/config_limits.h"
#include "formats/gguf.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "formats/sniff.h"
#include "safetylock/error.h"
#include "text/templates/execution.h"

namespace safetylock {
namespace {

constexpr size_t kMaxTemplates = 64;
constexpr const char* kDefault = "default";
constexpr const char* kTokenizerConfig = "tokenizer_config.json";

[[noreturn]] void fail_missing(const std::string& path, const std::string& expected) {
  throw Error({"template.missing", path, "", expected, "none",
               "A base model has no chat template; use the chat model it belongs to"});
}

void check_number(size_t templates, const std::string& file) {
  if (templates <= kMaxTemplates) return;
  throw Error({"limit.templates", file, "", "at most " + std::to_string(kMaxTemplates) + " chat templates",
               std::to_string(templates), ""});
}

// Adds `t`, in place of one of its name.
void put(std::vector<NamedTemplate>& templates, NamedTemplate t) {
  const auto same = std::find_if(templates.begin(), templates.end(),
                                 [&](const NamedTemplate& other) { return other.name == t.name; });
  if (same == templates.end()) {
    templates.push_back(std::move(t));
  } else {
    *same = std::move(t);
  }
}

ChatTemplateSource from_gguf(const std::string& path) {
  const std::string kKey = "tokenizer.chat_template", kNames = "tokenizer.chat_templates";
  const GgufFile gguf(path);
  ChatTemplateSource found;
  if (gguf.has(kKey)) put(found.templates, {kDefault, gguf.string(kKey), path});
  if (gguf.has(kNames)) {
    check_number(gguf.strings(kNames).size(), path);
    for (const std::string& name : gguf.strings(kNames)) {
      if (name != kDefault) put(found.templates, {name, gguf.string(kKey + "." + name), path});
    }
  }
  if (found.templates.empty()) fail_missing(path, "the metadata key " + kKey);
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

// One of the folder's JSON files; an empty object where it is not there.
class JsonFile {
 public:
  JsonFile(const std::string& folder, const std::string& name)
      : tree_(has_model_file(folder, name) ? read_model_json(folder, name, limits::kTokenizerConfigBytes)
                                           : JsonTree(Json::object())),
        root_(tree_, model_file_label(folder, name)) {}
  JsonFile(const JsonFile&) = delete;
  JsonFile& operator=(const JsonFile&) = delete;

  const JsonObject& root() const { return root_; }

 private:
  JsonTree tree_;
  JsonObject root_;
};

// A special token is a string or an object with its text under "content".
void add_special_tokens(const JsonObject& object, SpecialTokens& tokens) {
  for (const char* name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    if (!object.has(name)) continue;
    std::erase_if(tokens, [&](const auto& token) { return token.first == name; });
    const bool whole = object.at(name).is_object();
    tokens.emplace_back(name, whole ? object.object(name).string("content") : object.string(name));
  }
}

// special_tokens_map.json is older, and holds where tokenizer_config.json does not list the added tokens.
SpecialTokens special_tokens_of(const std::string& folder, const JsonObject& config) {
  SpecialTokens tokens;
  add_special_tokens(config, tokens);
  if (!config.value().contains("added_tokens_decoder"))
    add_special_tokens(JsonFile(folder, "special_tokens_map.json").root(), tokens);
  return tokens;
}

// The names, without ending, of the templates in additional_chat_templates.
std::vector<std::string> additional_names(const std::string& folder, const std::string& inner) {
  std::vector<std::string> names;
  constexpr std::string_view kEnding = ".jinja";
  for (std::string& name : names_in(join_path(folder, inner))) {
    if (name.size() <= kEnding.size() || !name.ends_with(kEnding)) continue;
    names.push_back(name.substr(0, name.size() - kEnding.size()));
    check_number(names.size(), join_path(folder, inner));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<NamedTemplate> templates_in_files(const std::string& folder) {
  const std::string kOwn = "chat_template.jinja", kInner = "additional_chat_templates";
  std::vector<NamedTemplate> templates;
  const auto add = [&](const std::string& name, const std::string& file) {
    NamedTemplate t{name, read_model_file(folder, file, jinja::kMaxSourceBytes),
                    model_file_label(folder, file)};
    // A page or a pointer in its place is sound Jinja: text that would stand before every answer.
    refuse_other_format(std::string_view(t.source).substr(0, kSniffBytes), t.file, "chat template");
    put(templates, std::move(t));
  };
  if (has_model_file(folder, kOwn)) add(kDefault, kOwn);
  for (const std::string& name : additional_names(folder, kInner)) add(name, kInner + "/" + name + ".jinja");
  return templates;
}

// `chat_template` is a text, a list of {"name", "template"} or an object of name and text.
std::vector<NamedTemplate> templates_of(const JsonObject& config) {
  const std::string kKey = "chat_template";
  std::vector<NamedTemplate> templates;
  if (!config.has(kKey)) return templates;
  const Json& value = config.at(kKey);
  if (value.is_array() || value.is_object()) check_number(value.size(), config.file());
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      const JsonObject named(value[i], config.file(), config.pointer_to(kKey + "/" + std::to_string(i)));
      put(templates, {named.string("name"), named.string("template"), config.file()});
    }
  } else if (value.is_object()) {
    const JsonObject object = config.object(kKey);
    for (const auto& [name, unused] : value.items())
      put(templates, {name, object.string(name), config.file()});
  } else {
    put(templates, {kDefault, config.string(kKey), config.file()});
  }
  return templates;
}

ChatTemplateSource from_folder(const std::string& folder) {
  const JsonFile config(folder, kTokenizerConfig);
  ChatTemplateSource found{templates_in_files(folder), special_tokens_of(folder, config.root())};
  if (found.templates.empty()) found.templates = templates_of(config.root());
  if (found.templates.empty()) found.templates = templates_of(JsonFile(folder, "chat_template.json").root());
  if (found.templates.empty())
    fail_missing(folder, "chat_template.jinja, or chat_template in tokenizer_config.json");
  return found;
}

}  // namespace

ChatTemplateSource find_chat_templates(const std::string& path_or_repository) {
  const std::string path = resolve_model_path(path_or_repository);
  return is_directory(path) ? from_folder(path) : from_gguf(path);
}

}  // namespace safetylock
