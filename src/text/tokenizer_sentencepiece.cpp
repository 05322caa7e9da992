#include "text/tokenizer_sentencepiece.h"

#include "base/file.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "formats/sniff.h"
#include "safetylock/error.h"
#include "text/piece_tokens.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer_config.h"

namespace safetylock {
namespace {

SentencePieceFile read_model(const std::string& bytes, const std::string& file) {
  try {
    return read_sentencepiece_file(bytes, file);
  } catch (const Error&) {
    refuse_other_format(std::string_view(bytes).substr(0, kSniffBytes), file, "sentencepiece");
    throw;
  }
}

// transformers' classes make byte-fallback BPE of every model and pass over its own normalisation.
void check_rules_fit(const SentencePieceFile& model, const std::string& path) {
  const auto fail = [&](const std::string& where, const std::string& expected, const std::string& found) {
    throw Error({"spm.unsupported", path, where, expected, found,
                 "transformers' class would encode text otherwise than the model was trained"});
  };
  if (model.algorithm != SentencePieceFile::Algorithm::bpe) fail("trainer_spec.model_type", "BPE", "unigram");
  if (!model.byte_fallback) fail("trainer_spec.byte_fallback", "true", "false");
  if (model.treat_whitespace_as_suffix) fail("trainer_spec.treat_whitespace_as_suffix", "false", "true");
  if (!model.charsmap.empty())
    fail("normalizer_spec.precompiled_charsmap", "none", std::to_string(model.charsmap.size()) + " bytes");
  if (model.remove_extra_whitespaces) fail("normalizer_spec.remove_extra_whitespaces", "false", "true");
  if (!model.escape_whitespaces) fail("normalizer_spec.escape_whitespaces", "true", "false");
}

std::vector<AddedToken> added_tokens(const SentencePieceFile& model, const TokenizerConfig& config,
                                     const std::string& path) {
  PieceTokens all(model);
  for (const AddedToken& token : config.tokens) all.add(token);
  if (config.adds_pieces) all.add_pieces();
  std::vector<AddedToken> tokens = all.take(config.file);
  for (size_t i = 0; i < tokens.size(); ++i) {
    AddedToken& token = tokens[i];
    token.control = token.control || config.chat_control_tokens.contains(token.content);
    if (i >= config.declared || token.id == config.tokens[i].id) continue;
    throw Error({"spm.added_token", config.file, "token \"" + escape_untrusted(token.content, 80) + "\"",
                 "the id " + std::to_string(token.id) + ", as " + escape_untrusted(path) + " has it",
                 std::to_string(config.tokens[i].id), ""});
  }
  return tokens;
}

TransformersRules rules_of(const TokenizerConfig& config) {
  TransformersRules rules;
  if (config.tokenizer_class != "LlamaTokenizer" || !config.add_prefix_space.value_or(true)) return rules;
  rules.prefix_space = config.legacy.value_or(false) ? PrefixSpace::always : PrefixSpace::first;
  rules.strip_space = true;
  return rules;
}

PostProcessing post_processing(const TokenizerConfig& config, const std::vector<AddedToken>& tokens) {
  PostProcessing out;
  const auto add = [&](bool wanted, const std::optional<std::string>& content, std::vector<TokenId>& ids) {
    if (!wanted || !content) return;
    for (const AddedToken& token : tokens) {
      if (token.content == *content) ids.push_back(token.id);
    }
  };
  add(config.add_bos_token, config.bos_token, out.before);
  add(config.add_eos_token, config.eos_token, out.after);
  return out;
}

}  // namespace

TokenizerParts read_bare_sentencepiece(const std::string& given_path) {
  const std::string path = escape_untrusted(given_path, 1000);
  const std::string bytes = read_file(given_path, kMaxSentencePieceFileBytes);
  auto model = std::make_unique<BareSentencePieceModel>(read_model(bytes, path), path);
  std::vector<AddedToken> added = model->added_tokens();
  check_added_tokens(added, *model, Normalizer(), path, "pieces");
  return {std::move(model), std::move(added), Normalizer(), {}};
}

TokenizerParts read_sentencepiece_folder(const std::string& folder) {
  const std::string name = "tokenizer.model", path = model_file_label(folder, name);
  const TokenizerConfig config = read_tokenizer_config(folder);
  SentencePieceFile file = read_model(read_model_file(folder, name, kMaxSentencePieceFileBytes), path);
  check_rules_fit(file, path);
  std::vector<AddedToken> added = added_tokens(file, config, path);
  // Gemma spells spaces as U+2581 before it looks for normalised added tokens, Llama after.
  const auto normalizer = config.tokenizer_class == "GemmaTokenizer" ? Normalizer::metaspace() : Normalizer();
  auto model =
      std::make_unique<TransformersSentencePieceModel>(std::move(file), added, rules_of(config), path);
  check_added_tokens(added, *model, normalizer, config.file, "added tokens");
  PostProcessing processing = post_processing(config, added);
  return {std::move(model), std::move(added), normalizer, std::move(processing)};
}

}  // namespace safetylock
