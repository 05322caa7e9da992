#include "text/tokenizer_json.h"

#include "base/log.h"
#include "formats/sniff.h"
#include "safetylock/error.h"
#include "text/byte_level_model.h"
#include "text/control_marker.h"
#include "text/tokenizer_json_stages.h"

namespace safetylock {
namespace {

using tokenizer_json::fail;
using tokenizer_json::only_keys;
using tokenizer_json::WordCut;

std::vector<AddedToken> read_added_tokens(const JsonObject& root, BpeAlphabet alphabet) {
  std::vector<AddedToken> tokens;
  if (!root.has("added_tokens")) return tokens;
  const Json& list = root.at("added_tokens");
  const std::string place = root.pointer_to("added_tokens");
  if (!list.is_array()) throw Error({"cfg.type", root.file(), place, "an array", describe_json(list), ""});
  for (size_t i = 0; i < list.size(); ++i) {
    const JsonObject entry(list[i], root.file(), place + "/" + std::to_string(i));
    only_keys(entry, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken t;
    const Json& id = entry.at("id");
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX)
      fail("bpe.added_token", entry, "id", "an integer from 0 to 2^31 - 1", id);
    t.id = id.get<TokenId>();
    t.content = entry.string("content");
    t.single_word = entry.boolean_or("single_word", false);
    t.lstrip = entry.boolean_or("lstrip", false);
    t.rstrip = entry.boolean_or("rstrip", false);
    t.special = entry.boolean_or("special", false);
    // Files with a sentencepiece vocabulary often do not call their turn markers special.
    t.control = t.special || (alphabet == BpeAlphabet::characters && is_control_marker(t.content));
    t.normalized = entry.boolean_or("normalized", !t.special);
    tokens.push_back(std::move(t));
  }
  return tokens;
}

BpeAlphabet alphabet_of(const WordCut& cut) {
  return std::holds_alternative<PieceCut>(cut) ? BpeAlphabet::characters : BpeAlphabet::bytes;
}

JsonTree parse(std::string_view json, const std::string& file) {
  if (json.size() > kMaxTokenizerJsonBytes) {
    throw Error({"limit.file_size", file, "", "at most " + std::to_string(kMaxTokenizerJsonBytes) + " bytes",
                 std::to_string(json.size()), ""});
  }
  try {
    return parse_json(json, file);
  } catch (const Error& error) {
    if (error.code() == "json.syntax") refuse_other_format(json.substr(0, kSniffBytes), file, "JSON");
    throw;
  }
}

}  // namespace

TokenizerJson::TokenizerJson(std::string_view json, std::string file)
    : file_(std::move(file)), document_(parse(json, file_)) {
  const JsonObject root = this->root();
  only_keys(root, {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                   "post_processor", "decoder", "model"});
  if (root.has("version") && !is_text(root.at("version"), "1.0"))
    fail("bpe.unsupported", root, "version", "\"1.0\"", root.at("version"));
  for (const char* key : {"truncation", "padding"}) {
    if (root.has(key)) {
      log::info("{}: /{} is left out; prompts are never cut or padded by the tokenizer",
                escape_untrusted(file_), key);
    }
  }
  added_ = read_added_tokens(root, alphabet());
}

BpeAlphabet TokenizerJson::alphabet() const {
  return alphabet_of(tokenizer_json::read_pre_tokenizer(root()));
}

std::unordered_map<std::string_view, TokenId> TokenizerJson::vocabulary() const {
  std::unordered_map<std::string_view, TokenId> ids;
  const JsonObject vocab = root().object("model").object("vocab");
  for (auto it = vocab.value().begin(); it != vocab.value().end(); ++it) {
    if (it->is_number_integer()) ids.emplace(it.key(), it->get<TokenId>());  // parts() refuses others
  }
  return ids;
}

TokenizerParts TokenizerJson::parts(std::vector<AddedToken> added, std::optional<ClassStages> stages) const {
  const JsonObject root = this->root();
  TokenizerParts parts;
  parts.normalizer = tokenizer_json::read_normalizer(root);
  const WordCut cut = tokenizer_json::read_pre_tokenizer(root);
  const BpeAlphabet alphabet = alphabet_of(cut);
  const JsonObject model = root.object("model");
  const bool ignore_merges = !stages && model.boolean_or("ignore_merges", false);
  BpeModel bpe = tokenizer_json::read_model(model, alphabet, ignore_merges, added);
  if (alphabet == BpeAlphabet::bytes) {
    tokenizer_json::check_byte_level_decoder(root);
    parts.model = std::make_unique<ByteLevelModel>(std::move(bpe), std::get<PreTokenizerKind>(cut));
  } else {
    ClassStages own{std::move(parts.normalizer), std::get<PieceCut>(cut), tokenizer_json::read_decoder(root)};
    ClassStages& used = stages ? *stages : own;
    parts.normalizer = std::move(used.normalizer);
    parts.model =
        std::make_unique<CharacterBpeModel>(std::move(bpe), std::move(used.cut), std::move(used.decoder));
  }
  check_added_tokens(added, *parts.model, parts.normalizer, file_, root.pointer_to("added_tokens"));
  const size_t tokens = parts.model->size() + added.size();
  parts.added_tokens = std::move(added);
  parts.post_processing = tokenizer_json::read_post_processor(root, alphabet, tokens);
  return parts;
}

}  // namespace safetylock
