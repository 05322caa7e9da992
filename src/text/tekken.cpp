#include "text/tekken.h"

#include <algorithm>
#include <array>

#include "base/base64.h"
#include "base/json.h"
#include "safetylock/error.h"
#include "text/byte_level_model.h"
#include "text/tokenizer_json_stages.h"

namespace safetylock {
namespace {

using tokenizer_json::fail;
using tokenizer_json::only_keys;

// Of files older than the list `special_tokens` (mistral-common's DEPRECATED_SPECIAL_TOKENS).
constexpr std::array<std::string_view, 20> kOldControlTokens{"<unk>",
                                                             "<s>",
                                                             "</s>",
                                                             "[INST]",
                                                             "[/INST]",
                                                             "[AVAILABLE_TOOLS]",
                                                             "[/AVAILABLE_TOOLS]",
                                                             "[TOOL_RESULTS]",
                                                             "[/TOOL_RESULTS]",
                                                             "[TOOL_CALLS]",
                                                             "[IMG]",
                                                             "<pad>",
                                                             "[IMG_BREAK]",
                                                             "[IMG_END]",
                                                             "[PREFIX]",
                                                             "[MIDDLE]",
                                                             "[SUFFIX]",
                                                             "[SYSTEM_PROMPT]",
                                                             "[/SYSTEM_PROMPT]",
                                                             "[TOOL_CONTENT]"};

const Json& list_at(const JsonObject& object, const std::string& key) {
  const Json& list = object.at(key);
  if (!list.is_array())
    throw Error({"cfg.type", object.file(), object.pointer_to(key), "an array", describe_json(list), ""});
  return list;
}

JsonObject entry_of(const JsonObject& root, const std::string& key, size_t i) {
  return {root.at(key)[i], root.file(), root.pointer_to(key) + "/" + std::to_string(i)};
}

std::vector<std::string> declared_control_tokens(const JsonObject& root) {
  if (!root.has("special_tokens")) return {kOldControlTokens.begin(), kOldControlTokens.end()};
  std::vector<std::string> tokens(list_at(root, "special_tokens").size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const JsonObject entry = entry_of(root, "special_tokens", i);
    only_keys(entry, {"rank", "token_str", "is_control"});
    const auto rank = static_cast<size_t>(entry.integer("rank", 0, INT32_MAX));
    if (rank >= tokens.size() || !tokens[rank].empty())
      fail("bpe.vocab_id", entry, "rank", "each rank from 0 once, without gaps", entry.at("rank"));
    tokens[rank] = entry.string("token_str");
    if (tokens[rank].empty()) fail("bpe.added_token", entry, "token_str", "a text", entry.at("token_str"));
  }
  return tokens;
}

// All control tokens; what the file leaves unnamed are fillers.
std::vector<AddedToken> control_tokens(const JsonObject& root) {
  std::vector<std::string> contents = declared_control_tokens(root);
  const auto declared = static_cast<std::int64_t>(contents.size());
  const std::int64_t count =
      root.object("config").integer_or("default_num_special_tokens", declared, declared, kMaxAddedTokens);
  for (std::int64_t i = declared; i < count; ++i) contents.push_back("<SPECIAL_" + std::to_string(i) + ">");
  std::vector<AddedToken> tokens;
  for (const std::string& content : contents) {
    AddedToken token;
    token.id = static_cast<TokenId>(tokens.size());
    token.content = content;
    token.special = token.control = true;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

PreTokenizerKind read_pattern(const JsonObject& config) {
  const auto kind = pretokenizer_of_regex(config.string("pattern"));
  if (!kind)
    fail("bpe.pretokenizer", config, "pattern", "tekken's pattern, character for character",
         config.at("pattern"));
  return *kind;
}

std::string token_bytes(const JsonObject& root, size_t rank) {
  const JsonObject entry = entry_of(root, "vocab", rank);
  only_keys(entry, {"rank", "token_bytes", "token_str"});
  if (entry.integer("rank", 0, INT32_MAX) != static_cast<std::int64_t>(rank))
    fail("bpe.vocab_id", entry, "rank", "its place in the list, " + std::to_string(rank), entry.at("rank"));
  auto bytes = decode_base64(entry.string("token_bytes"));
  if (!bytes || bytes->empty())
    fail("bpe.vocab_key", entry, "token_bytes", "bytes in base64", entry.at("token_bytes"));
  return std::move(*bytes);
}

// How many of the listed tokens count: files list more than the models know.
size_t used_tokens(const JsonObject& root, size_t control) {
  const size_t listed = list_at(root, "vocab").size();
  const JsonObject config = root.object("config");
  if (!config.has("default_vocab_size")) return listed;
  const auto first = static_cast<std::int64_t>(control);
  const std::int64_t size = config.integer("default_vocab_size", first, INT32_MAX);
  return std::min(listed, static_cast<size_t>(size - first));
}

// All ways to make each token of two others, in order of its rank and then of theirs.
void add_merges(size_t control, BpeModel& bpe) {
  const Vocabulary& vocabulary = bpe.vocabulary();
  const auto first = static_cast<TokenId>(control);
  std::vector<std::pair<TokenId, TokenId>> ways;
  for (auto id = first; id < static_cast<TokenId>(vocabulary.size()); ++id) {
    const std::string_view bytes = vocabulary.bytes(id);
    ways.clear();
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const auto left = vocabulary.find(bytes.substr(0, cut)), right = vocabulary.find(bytes.substr(cut));
      if (left && right && *left >= first && *right >= first) ways.emplace_back(*left, *right);
    }
    std::sort(ways.begin(), ways.end());
    for (const auto& [left, right] : ways) bpe.add_merge(left, right);
  }
}

}  // namespace

TokenizerParts read_tekken(std::string_view json, const std::string& file) {
  const JsonTree document = parse_json(json, file);
  const JsonObject root(document, file);
  // The last four are of images, sound and chats.
  only_keys(root,
            {"config", "vocab", "special_tokens", "image", "multimodal", "audio", "model_settings_builder"});
  const JsonObject config = root.object("config");
  only_keys(config,
            {"pattern", "num_vocab_tokens", "default_vocab_size", "default_num_special_tokens", "version"});
  const PreTokenizerKind pre_tokenizer = read_pattern(config);
  TokenizerParts parts;
  parts.added_tokens = control_tokens(root);
  const size_t control = parts.added_tokens.size();
  const size_t used = used_tokens(root, control);
  BpeBuilder builder(BpeAlphabet::bytes, file, "/vocab", "/vocab");
  builder.reserve(control + used, 0);
  for (const AddedToken& token : parts.added_tokens) builder.add_added_token(token.content);
  for (size_t rank = 0; rank < used; ++rank) builder.add_bytes(token_bytes(root, rank));
  builder.finish_vocabulary(true, parts.added_tokens);
  BpeModel bpe = builder.take();
  add_merges(control, bpe);
  parts.model = std::make_unique<ByteLevelModel>(std::move(bpe), pre_tokenizer);
  check_added_tokens(parts.added_tokens, *parts.model, parts.normalizer, file,
                     root.pointer_to("special_tokens"));
  return parts;
}

}  // namespace safetylock
