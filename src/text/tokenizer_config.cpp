#include "text/tokenizer_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>

#include "base/json.h"
#include "formats/config_limits.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr const char* kName = "tokenizer_config.json";

constexpr std::array<const char*, 7> kNamedTokens{"bos_token", "eos_token", "unk_token", "sep_token",
                                                  "pad_token", "cls_token", "mask_token"};

// Special tokens of a class whose configuration does not name them.
struct ClassToken {
  const char* tokenizer_class;
  const char* name;
  const char* content;
};
constexpr std::array<ClassToken, 8> kClassTokens{{{"LlamaTokenizer", "bos_token", "<s>"},
                                                  {"LlamaTokenizer", "eos_token", "</s>"},
                                                  {"LlamaTokenizer", "unk_token", "<unk>"},
                                                  {"GemmaTokenizer", "bos_token", "<bos>"},
                                                  {"GemmaTokenizer", "eos_token", "<eos>"},
                                                  {"GemmaTokenizer", "unk_token", "<unk>"},
                                                  {"GemmaTokenizer", "pad_token", "<pad>"},
                                                  {"GemmaTokenizer", "mask_token", "<mask>"}}};

[[noreturn]] void fail(const std::string& code, const JsonObject& object, const std::string& key,
                       const std::string& expected, const Json& found) {
  throw Error({code, object.file(), object.pointer_to(key), expected, describe_json(found), ""});
}

// transformers' AddedToken(**object).
AddedToken token_of(const JsonObject& object, bool special) {
  AddedToken token;
  token.id = -1;
  token.content = object.string("content");
  if (token.content.empty()) fail("spm.added_token", object, "content", "a text", object.at("content"));
  token.single_word = object.boolean_or("single_word", false);
  token.lstrip = object.boolean_or("lstrip", false);
  token.rstrip = object.boolean_or("rstrip", false);
  token.special = special || object.boolean_or("special", false);
  token.normalized = object.boolean_or("normalized", !token.special);
  return token;
}

AddedToken special_token(const std::string& content) {
  AddedToken token;
  token.id = -1;
  token.content = content;
  token.special = true;
  return token;
}

// A token written as text or, by transformers, as an object.
AddedToken token_at(const JsonObject& object, const std::string& key, bool special) {
  const Json& value = object.at(key);
  if (value.is_string()) return special_token(value.get<std::string>());
  return token_of(object.object(key), special);
}

class ConfigReader {
 public:
  explicit ConfigReader(const std::string& folder)
      : folder_(folder), path_(model_file_label(folder, kName)) {}

  /// Beside a tokenizer.model.
  TokenizerConfig run() {
    if (!has_model_file(folder_, kName)) {
      throw Error({"cfg.missing", path_, "", "a tokenizer_config.json beside tokenizer.model", "none",
                   "It says by which rules the model's text was encoded; a model file alone is read by "
                   "Tokenizer::from_sentencepiece"});
    }
    const JsonTree json = read_model_json(folder_, kName, limits::kTokenizerConfigBytes);
    const JsonObject config(json, path_);
    read_class(config);
    if (config.has("sp_model_kwargs") && !config.object("sp_model_kwargs").value().empty())
      fail("spm.unsupported", config, "sp_model_kwargs", "none", config.at("sp_model_kwargs"));
    read(config);
    return std::move(out_);
  }

  /// Beside a tokenizer.json.
  TokenizerConfig run(const std::string& tokenizer_class, const std::vector<AddedToken>& of_file) {
    out_.tokenizer_class = tokenizer_class;
    of_file_ = &of_file;
    JsonTree json{Json::object()};
    if (has_model_file(folder_, kName)) json = read_model_json(folder_, kName, limits::kTokenizerConfigBytes);
    read(JsonObject(json, path_));
    return std::move(out_);
  }

 private:
  void read(const JsonObject& config) {
    out_.file = path_;
    read_settings(config);
    if (config.has("added_tokens_decoder")) {
      read_declared(config.object("added_tokens_decoder"));
      read_named(config, nullptr);
    } else {
      read_transformers_4(config);
    }
    read_extra(config);
  }

  void read_class(const JsonObject& config) {
    std::string name = config.string("tokenizer_class");
    if (name.ends_with("Fast")) name.resize(name.size() - 4);
    const auto known = [&](const ClassToken& t) { return name == t.tokenizer_class; };
    if (std::none_of(kClassTokens.begin(), kClassTokens.end(), known)) {
      throw Error(
          {"spm.unsupported", config.file(), "/tokenizer_class",
           "LlamaTokenizer or GemmaTokenizer: the classes whose rules for a tokenizer.model are known",
           "\"" + escape_untrusted(name) + "\"", "A folder with a tokenizer.json says these rules itself"});
    }
    out_.tokenizer_class = name;
  }

  void read_settings(const JsonObject& config) {
    if (config.has("legacy")) out_.legacy = config.boolean_or("legacy", false);
    if (config.has("add_prefix_space")) out_.add_prefix_space = config.boolean_or("add_prefix_space", true);
    out_.add_bos_token = config.boolean_or("add_bos_token", false);
    out_.add_eos_token = config.boolean_or("add_eos_token", false);
    if (config.boolean_or("split_special_tokens", false))
      fail(of_file_ != nullptr ? "bpe.unsupported" : "spm.unsupported", config, "split_special_tokens",
           "false", config.at("split_special_tokens"));
    if (!config.has("chat_control_tokens")) return;
    for (const std::string& token : strings(config, "chat_control_tokens"))
      out_.chat_control_tokens.insert(token);
  }

  static std::vector<std::string> strings(const JsonObject& object, const std::string& key) {
    const Json& list = object.at(key);
    const bool sound =
        list.is_array() && std::all_of(list.begin(), list.end(), [](const Json& v) { return v.is_string(); });
    if (!sound) fail("cfg.type", object, key, "an array of strings", list);
    return list.get<std::vector<std::string>>();
  }

  // Ids as keys; transformers takes the tokens in order of id.
  void read_declared(const JsonObject& decoder) {
    for (auto it = decoder.value().begin(); it != decoder.value().end(); ++it) {
      AddedToken token = token_of(decoder.object(it.key()), false);
      const char* const end = it.key().data() + it.key().size();
      const auto [stop, error] = std::from_chars(it.key().data(), end, token.id);
      if (error != std::errc() || stop != end || token.id < 0 || token.id > INT32_MAX) {
        throw Error({"spm.added_token", decoder.file(), decoder.pointer_to(escape_untrusted(it.key())),
                     "an id from 0 to 2^31 - 1", "another key", ""});
      }
      out_.tokens.push_back(std::move(token));
    }
    close_declared(decoder.file());
  }

  void close_declared(const std::string& file) {
    std::sort(out_.tokens.begin(), out_.tokens.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    out_.declared = out_.tokens.size();
    for (size_t i = 0; i < out_.tokens.size(); ++i) {
      const AddedToken& token = out_.tokens[i];
      const bool fresh = index_.emplace(token.content, i).second;
      if (fresh && (i == 0 || out_.tokens[i - 1].id != token.id)) continue;
      throw Error({"spm.added_token", file, "id " + std::to_string(token.id), "each id and each content once",
                   "\"" + escape_untrusted(token.content, 80) + "\"", ""});
    }
  }

  AddedToken* find(const std::string& content) {
    const auto it = index_.find(content);
    return it == index_.end() ? nullptr : &out_.tokens[it->second];
  }

  // The first description of a token counts.
  void add(AddedToken token) {
    if (index_.emplace(token.content, out_.tokens.size()).second) out_.tokens.push_back(std::move(token));
  }

  void add_named(const std::string& name, AddedToken token) {
    if (name == "bos_token") out_.bos_token = token.content;
    if (name == "eos_token") out_.eos_token = token.content;
    const std::string content = token.content;
    add(std::move(token));
    find(content)->special = true;
  }

  // A token with a role is special whatever is said of it elsewhere. `map`, special_tokens_map.json, goes
  // before the configuration; null in either means none.
  void read_named(const JsonObject& config, const JsonObject* map) {
    for (const char* name : kNamedTokens) {
      const JsonObject& object = map != nullptr && map->value().contains(name) ? *map : config;
      if (object.has(name)) {
        add_named(name, token_at(object, name, false));
      } else if (!object.value().contains(name)) {
        for (const ClassToken& t : kClassTokens) {
          if (out_.tokenizer_class == t.tokenizer_class && name == std::string_view(t.name))
            add_named(name, special_token(t.content));
        }
      }
    }
    for (auto it = config.value().begin(); it != config.value().end(); ++it) {
      const bool named = std::find(kNamedTokens.begin(), kNamedTokens.end(), it.key()) != kNamedTokens.end();
      if (!named && it.key().ends_with("_token") && (it->is_string() || it->is_object()))
        add_named(it.key(), token_at(config, it.key(), false));
    }
  }

  void read_transformers_4(const JsonObject& config) {
    const std::string map_name = "special_tokens_map.json", added_name = "added_tokens.json";
    const bool has_map = has_model_file(folder_, map_name);
    const JsonTree map_json = has_map ? read_model_json(folder_, map_name, limits::kTokenizerConfigBytes)
                                      : JsonTree(Json::object());
    const JsonObject map(map_json, model_file_label(folder_, map_name));
    if (has_model_file(folder_, added_name)) {
      const JsonTree added_tree = read_model_json(folder_, added_name, limits::kTokenizerConfigBytes);
      const Json& added_json = *added_tree;
      const std::string added_path = model_file_label(folder_, added_name);
      const JsonObject added(added_json, added_path);
      for (auto it = added_json.begin(); it != added_json.end(); ++it) {
        AddedToken token;
        token.content = it.key();
        if (it.key().empty()) fail("spm.added_token", added, "", "a text for each id", added_json);
        token.id = added.integer(it.key(), 0, INT32_MAX);
        token.normalized = true;
        out_.tokens.push_back(std::move(token));
      }
      close_declared(added_path);
    }
    const size_t of_added_tokens = out_.declared;
    for (const AddedToken& token : extra_tokens(config)) {
      if (AddedToken* known = find(token.content)) known->special = true;
    }
    if (of_file_ != nullptr) add_tokens_of_file();
    read_named(config, &map);
    if (of_file_ == nullptr) {
      for (size_t i = 0; i < of_added_tokens; ++i) out_.tokens[i].normalized = !out_.tokens[i].special;
    }
    check_map(map);
  }

  // What tokenizer.json says of an id goes before added_tokens.json.
  void add_tokens_of_file() {
    std::unordered_set<TokenId> ids;
    for (const AddedToken& token : *of_file_) ids.insert(token.id);
    std::erase_if(out_.tokens, [&](const AddedToken& token) { return ids.contains(token.id); });
    out_.tokens.insert(out_.tokens.end(), of_file_->begin(), of_file_->end());
    index_.clear();
    close_declared(path_);
  }

  // transformers 5 leaves out what the map lists here; a token that is then missing would be a silent loss.
  void check_map(const JsonObject& map) {
    for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
      if (!map.has(key)) continue;
      for (const std::string& content : list_of_tokens(map, key)) {
        if (find(content) != nullptr) continue;
        throw Error({"spm.added_token", map.file(), map.pointer_to(key),
                     "tokens that tokenizer_config.json or added_tokens.json knows",
                     "\"" + escape_untrusted(content, 80) + "\"",
                     "Save the tokenizer again with a newer transformers"});
      }
    }
  }

  static std::vector<std::string> list_of_tokens(const JsonObject& object, const char* key) {
    std::vector<std::string> out;
    for (const AddedToken& token : token_list(object, key)) out.push_back(token.content);
    return out;
  }

  static std::vector<AddedToken> token_list(const JsonObject& object, const std::string& key) {
    const Json& list = object.at(key);
    if (!list.is_array()) fail("cfg.type", object, key, "an array of tokens", list);
    std::vector<AddedToken> tokens;
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i].is_string()) {
        tokens.push_back(special_token(list[i].get<std::string>()));
      } else {
        tokens.push_back(token_of(
            JsonObject(list[i], object.file(), object.pointer_to(key) + "/" + std::to_string(i)), false));
      }
    }
    return tokens;
  }

  // The newer name goes before the older one, unless it is empty.
  static const char* extra_key(const JsonObject& config) {
    const char* key = "extra_special_tokens";
    const char* older = "additional_special_tokens";
    if ((!config.has(key) || config.at(key).empty()) && config.has(older)) key = older;
    return config.has(key) ? key : nullptr;
  }

  static std::vector<AddedToken> extra_tokens(const JsonObject& config) {
    const char* key = extra_key(config);
    if (key == nullptr || config.at(key).is_object()) return {};
    return token_list(config, key);
  }

  void read_extra(const JsonObject& config) {
    const char* key = extra_key(config);
    if (key == nullptr) return;
    if (config.at(key).is_object()) {  // further roles
      const JsonObject roles = config.object(key);
      for (auto it = roles.value().begin(); it != roles.value().end(); ++it)
        add_named(it.key(), token_at(roles, it.key(), false));
      return;
    }
    out_.adds_pieces = false;
    for (AddedToken& token : extra_tokens(config)) add(std::move(token));
  }

  std::string folder_, path_;
  const std::vector<AddedToken>* of_file_ = nullptr;
  TokenizerConfig out_;
  std::unordered_map<std::string, size_t> index_;  // of out_.tokens, by content
};

}  // namespace

TokenizerConfig read_tokenizer_config(const std::string& folder) {
  return ConfigReader(folder).run();
}

TokenizerConfig read_tokenizer_config(const std::string& folder, const std::string& tokenizer_class,
                                      const std::vector<AddedToken>& of_file) {
  return ConfigReader(folder).run(tokenizer_class, of_file);
}

}  // namespace safetylock
