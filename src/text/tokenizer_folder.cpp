#include "text/tokenizer_folder.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/file.h"
#include "formats/config_limits.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "safetylock/error.h"
#include "text/control_marker.h"
#include "text/tekken.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_sentencepiece.h"

namespace safetylock {
namespace {

constexpr const char* kTokenizerJson = "tokenizer.json";
constexpr const char* kTekken = "tekken.json";
constexpr const char* kModel = "tokenizer.model";

// Model types whose tokenizer.json counts as it is, whatever class their folders name (transformers'
// TOKENIZER_MAPPING_NAMES and MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS).
constexpr std::array<std::string_view, 13> kFileCounts{
    "granite", "ministral", "ministral3", "mistral", "mistral3", "mixtral",  "nemotron",
    "olmo2",   "olmo3",     "phi3",       "phi3_v",  "phimoe",   "stablelm",
};

// Classes that read a tokenizer.json as it is.
constexpr std::array<std::string_view, 3> kFileClasses{"PreTrainedTokenizer", "PythonBackend",
                                                       "TokenizersBackend"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

struct ClassName {
  std::string model_type, tokenizer_class;  // without "Fast"; empty: not said
};

std::string text_in(const std::string& folder, const char* file, const char* key) {
  if (!has_model_file(folder, file)) return "";
  const JsonTree json = read_model_json(folder, file, limits::kTokenizerConfigBytes);
  return JsonObject(json, model_file_label(folder, file)).string_or(key, "");
}

// The class that reads the folder's tokenizer.json: empty where the file's own stages count.
std::string class_of(const std::string& folder, BpeAlphabet alphabet) {
  const std::string model_type = text_in(folder, "config.json", "model_type");
  if (alphabet == BpeAlphabet::bytes || contains(kFileCounts, model_type)) return "";
  std::string name = text_in(folder, "tokenizer_config.json", "tokenizer_class");
  if (name.empty()) name = text_in(folder, "config.json", "tokenizer_class");
  if (name.empty() && model_type.starts_with("gemma")) name = "GemmaTokenizer";
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name.empty() || contains(kFileClasses, name)) return "";
  if (name == "LlamaTokenizer" || name == "GemmaTokenizer") return name;
  throw Error({"bpe.unsupported", join_path(folder, "tokenizer_config.json"), "/tokenizer_class",
               "LlamaTokenizer, GemmaTokenizer or TokenizersBackend beside a sentencepiece vocabulary",
               "\"" + escape_untrusted(name) + "\"", "The class would not read tokenizer.json as it is"});
}

std::optional<ClassStages> stages_of(const TokenizerConfig& config) {
  using Kind = DecoderStep::Kind;
  std::vector<DecoderStep> decoder{{.kind = Kind::replace, .wanted = std::string(kMetaspace), .content = " "},
                                   {.kind = Kind::byte_fallback},
                                   {.kind = Kind::fuse}};
  if (config.tokenizer_class == "GemmaTokenizer") {
    return ClassStages{Normalizer::metaspace(),
                       {.kind = PieceCut::Kind::literal, .literal = " "},
                       Decoder(std::move(decoder))};
  }
  if (config.tokenizer_class != "LlamaTokenizer") return std::nullopt;
  PieceCut cut{.kind = PieceCut::Kind::metaspace};
  if (config.add_prefix_space.value_or(true)) {
    cut.prefix = config.legacy.value_or(false) ? PrefixSpace::always : PrefixSpace::first;
    decoder.push_back({.kind = Kind::strip, .content = " ", .count = 1});
  }
  return ClassStages{Normalizer(), std::move(cut), Decoder(std::move(decoder))};
}

// The added tokens of the file, unless a class takes none of them, and of the configuration, with ids as
// tokenizers gives them: the vocabulary's, or the next.
class AddedTokenList {
 public:
  AddedTokenList(const TokenizerJson& json, const std::vector<AddedToken>& first)
      : alphabet_(json.alphabet()), vocabulary_(json.vocabulary()) {
    for (const AddedToken& token : first) add(token, true);
  }

  /// One that is there already keeps its first description; a special one is a control token from now on, but
  /// special itself only where it was listed with an id, `declared`.
  void add(AddedToken token, bool declared) {
    const auto found = index_.find(token.content);
    if (found != index_.end()) {
      AddedToken& known = tokens_[found->second];
      known.special |= declared && token.special;
      known.control |= token.special;
      return;
    }
    const auto in_vocabulary = vocabulary_.find(token.content);
    const bool fresh = in_vocabulary == vocabulary_.end();
    const TokenId id =
        fresh ? static_cast<TokenId>(vocabulary_.size() + new_tokens_++) : in_vocabulary->second;
    if (token.id < 0) token.id = id;  // one that its file gives is checked later
    index_.emplace(token.content, tokens_.size());
    tokens_.push_back(std::move(token));
  }

  std::vector<AddedToken> take(const TokenizerConfig& config) {
    for (AddedToken& token : tokens_) {
      const bool marker = alphabet_ == BpeAlphabet::characters && is_control_marker(token.content);
      token.control |= token.special || marker || config.chat_control_tokens.contains(token.content);
    }
    return std::move(tokens_);
  }

 private:
  BpeAlphabet alphabet_;
  std::unordered_map<std::string_view, TokenId> vocabulary_;
  std::unordered_map<std::string, size_t> index_;  // of tokens_, by content
  std::vector<AddedToken> tokens_;
  size_t new_tokens_ = 0;
};

TokenizerParts read_json(const std::string& folder) {
  const TokenizerJson json(read_model_file(folder, kTokenizerJson, kMaxTokenizerJsonBytes),
                           join_path(folder, kTokenizerJson));
  const TokenizerConfig config =
      read_tokenizer_config(folder, class_of(folder, json.alphabet()), json.added_tokens());
  std::optional<ClassStages> stages = stages_of(config);
  AddedTokenList added(json, stages ? std::vector<AddedToken>{} : json.added_tokens());
  for (size_t i = 0; i < config.tokens.size(); ++i) added.add(config.tokens[i], i < config.declared);
  return json.parts(added.take(config), std::move(stages));
}

}  // namespace

bool has_tokenizer(const std::string& folder) {
  return has_model_file(folder, kTokenizerJson) || has_model_file(folder, kTekken) ||
         has_model_file(folder, kModel);
}

TokenizerParts read_tokenizer_folder(const std::string& folder) {
  if (!has_model_file(folder, kTokenizerJson)) {
    if (has_model_file(folder, kTekken)) {
      return read_tekken(read_model_file(folder, kTekken, kMaxTokenizerJsonBytes),
                         join_path(folder, kTekken));
    }
    if (has_model_file(folder, kModel)) return read_sentencepiece_folder(folder);
  }
  return read_json(folder);
}

}  // namespace safetylock
