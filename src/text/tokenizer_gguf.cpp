#include "text/tokenizer_gguf.h"

#include <array>
#include <set>
#include <utility>

#include "safetylock/error.h"
#include "text/byte_level_model.h"
#include "text/tokenizer_sentencepiece.h"

namespace safetylock {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kTypes = "tokenizer.ggml.token_type";

// llama.cpp's token types.
enum TokenType { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

std::string place(const std::string& key) {
  return "metadata \"" + key + "\"";
}

// The pre-tokenizer that transformers gives to `tokenizer.ggml.pre`. It has no entry for "smollm" and uses
// GPT-2's pattern, without the split at digits of SmolLM's own tokenizer.json.
constexpr std::array<std::pair<std::string_view, PreTokenizerKind>, 11> kPreTokenizers{{
    {"gpt-2", PreTokenizerKind::gpt2},
    {"smollm", PreTokenizerKind::gpt2},
    {"llama-bpe", PreTokenizerKind::llama3},
    {"llama3", PreTokenizerKind::llama3},
    {"llama-v3", PreTokenizerKind::llama3},
    {"qwen2", PreTokenizerKind::qwen2},
    {"deepseek-r1-qwen", PreTokenizerKind::qwen2},
    {"tekken", PreTokenizerKind::tekken},
    {"gpt-4o", PreTokenizerKind::gpt4o},
    {"llama4", PreTokenizerKind::gpt4o},
    {"falcon3", PreTokenizerKind::llama3},
}};

PreTokenizerKind read_pre_tokenizer(const GgufFile& file) {
  const std::string key = "tokenizer.ggml.pre";
  const std::string pre = file.has(key) ? file.string(key) : "";
  std::string known;
  for (const auto& [name, kind] : kPreTokenizers) {
    if (name == pre) return kind;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  throw Error({"bpe.pretokenizer", file.path(), place(key), "one of " + known,
               pre.empty() ? "none" : "\"" + escape_untrusted(pre) + "\"",
               pre.empty() ? "The file is older than this field; convert the model again" : ""});
}

std::vector<std::int64_t> read_types(const GgufFile& file, size_t tokens) {
  if (!file.has(kTypes)) return std::vector<std::int64_t>(tokens, kNormal);
  const auto& types = file.integers(kTypes);
  if (types.size() != tokens) {
    throw Error({"bpe.token_type", file.path(), place(kTypes),
                 "one type for each of " + std::to_string(tokens) + " tokens", std::to_string(types.size()),
                 ""});
  }
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] < kNormal || types[i] > kByte) {
      throw Error({"bpe.token_type", file.path(), place(kTypes) + "[" + std::to_string(i) + "]", "1 to 6",
                   std::to_string(types[i]), ""});
    }
  }
  return types;
}

void check_scores(const GgufFile& file, size_t tokens) {
  const std::string key = "tokenizer.ggml.scores";
  if (!file.has(key)) return;
  const auto* scores = std::get_if<std::vector<double>>(&file.at(key));
  if (scores != nullptr && scores->size() == tokens) return;
  throw Error({"bpe.scores", file.path(), place(key),
               "one number for each of " + std::to_string(tokens) + " tokens",
               scores == nullptr ? "another type" : std::to_string(scores->size()), ""});
}

// Tokens named by role; transformers makes each a control token whatever its type says.
std::set<TokenId> role_tokens(const GgufFile& file, const Vocabulary& vocabulary) {
  std::set<TokenId> ids;
  for (const char* role : {"bos", "eos", "unknown", "padding"}) {
    const std::string key = std::string("tokenizer.ggml.") + role + "_token_id";
    if (!file.has(key)) continue;
    const auto* id = std::get_if<std::int64_t>(&file.at(key));
    if (id == nullptr || *id < 0 || static_cast<size_t>(*id) >= vocabulary.size()) {
      throw Error({"bpe.vocab_id", file.path(), place(key),
                   "an id from 0 to " + std::to_string(vocabulary.size()) + " - 1",
                   id == nullptr ? "another type" : std::to_string(*id), ""});
    }
    ids.insert(*id);
  }
  // The class that transformers uses for all byte-level files, GPT2Tokenizer, brings this one.
  if (const auto id = vocabulary.find("<|endoftext|>")) ids.insert(*id);
  return ids;
}

std::vector<AddedToken> added_tokens(const GgufFile& file, const Vocabulary& vocabulary,
                                     const std::vector<std::string>& tokens) {
  const std::vector<std::int64_t> types = read_types(file, tokens.size());
  const std::set<TokenId> roles = role_tokens(file, vocabulary);
  std::vector<AddedToken> added;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const bool special = types[i] == kControl || roles.contains(id);
    if (!special && types[i] != kUserDefined) continue;
    AddedToken t;
    t.id = id;
    t.content = tokens[i];
    t.special = special;
    t.control = special;
    added.push_back(std::move(t));
  }
  return added;
}

PostProcessing read_post_processing(const GgufFile& file, size_t tokens) {
  PostProcessing out;
  const auto add = [&](const std::string& role, std::vector<TokenId>& ids) {
    const std::string flag = "tokenizer.ggml.add_" + role + "_token";
    const std::string key = "tokenizer.ggml." + role + "_token_id";
    if (!file.has(flag) || !file.boolean(flag) || !file.has(key)) return;
    ids.push_back(file.integer(key, 0, static_cast<std::int64_t>(tokens) - 1));
  };
  add("bos", out.before);
  add("eos", out.after);
  return out;
}

}  // namespace

TokenizerParts read_gguf_tokenizer(const GgufFile& file) {
  const std::string& model_name = file.string("tokenizer.ggml.model");
  if (model_name == "llama") return read_sentencepiece_gguf(file);
  if (model_name != "gpt2") {
    throw Error({"bpe.unsupported", file.path(), place("tokenizer.ggml.model"),
                 "\"gpt2\" (byte-level BPE) or \"llama\" (sentencepiece)",
                 "\"" + escape_untrusted(model_name) + "\"", ""});
  }
  const PreTokenizerKind pre_tokenizer = read_pre_tokenizer(file);
  const auto& tokens = file.strings(kTokens);
  const auto& merges = file.strings(kMerges);
  BpeBuilder builder(BpeAlphabet::bytes, file.path(), place(kTokens), place(kMerges));
  builder.reserve(tokens.size(), merges.size());
  for (const std::string& token : tokens) builder.add_token(token);
  check_scores(file, tokens.size());
  std::vector<AddedToken> added = added_tokens(file, builder.vocabulary(), tokens);
  builder.finish_vocabulary(false, added);
  for (const std::string& merge : merges) builder.add_merge(merge);
  auto model = std::make_unique<ByteLevelModel>(builder.take(), pre_tokenizer);
  check_added_tokens(added, *model, Normalizer(), file.path(), place(kTokens));
  return {std::move(model), std::move(added), Normalizer(), read_post_processing(file, tokens.size())};
}

}  // namespace safetylock
