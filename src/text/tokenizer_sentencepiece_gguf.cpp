#include "base/utf8.h"
#include "safetylock/error.h"
#include "text/piece_tokens.h"
#include "text/sentencepiece_model.h"
#include "text/templates/marked_text.h"
#include "text/tokenizer_sentencepiece.h"

namespace safetylock {
namespace {

using Type = SentencePieceFile::Type;

constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kScores = "tokenizer.ggml.scores";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kUnknown = "tokenizer.ggml.unknown_token_id";

std::string place(const std::string& key) {
  return "metadata \"" + key + "\"";
}

// What transformers makes of these files: its LlamaTokenizer, its GemmaTokenizer, or the pipeline of Phi-3's
// tokenizer.json. The architecture decides.
struct Family {
  TransformersRules rules;
  Normalizer normalizer;
  std::vector<std::string> roles;  // special tokens that it brings itself
  bool is_gemma = false;
};

Family family_of(const GgufFile& file) {
  const std::string architecture = file.architecture();
  // The scores of Gemma's files are not those its merges were ordered by.
  if (architecture == "gemma" || architecture == "gemma2" || architecture == "gemma3") {
    return {{PrefixSpace::never, false, false},
            Normalizer::metaspace(),
            {"<bos>", "<eos>", "<unk>", "<pad>", "<mask>"},
            true};
  }
  if (architecture.starts_with("gemma")) {
    throw Error({"spm.unsupported", file.path(), "architecture",
                 "gemma, gemma2, gemma3, phi3 or one of Llama's kind",
                 "\"" + escape_untrusted(architecture) + "\"", ""});
  }
  if (architecture == "phi3")
    return {{PrefixSpace::never, true, true}, Normalizer::prepended_metaspace(), {"<s>", "</s>", "<unk>"}};
  return {{PrefixSpace::first, true, true}, Normalizer(), {"<s>", "</s>", "<unk>"}};
}

// Gemma's files hold pieces of spaces alone as they decode, not as the vocabulary spells them.
std::string respelled(const std::string& piece) {
  std::string spelled;
  bool has_space = false;
  for (size_t i = 0; i < piece.size();) {
    const utf8::Decoded d = utf8::decode(std::string_view(piece).substr(i));
    if (!jinja::is_space(d.code_point)) return piece;
    has_space = has_space || d.code_point == ' ';
    spelled += kMetaspace;
    i += d.length;
  }
  return has_space ? spelled : piece;
}

// llama.cpp's token types are sentencepiece's.
SentencePieceFile read_vocabulary(const GgufFile& file, const Family& family) {
  const auto& tokens = file.strings(kTokens);
  const auto& types = file.integers(kTypes);
  const auto* scores = std::get_if<std::vector<double>>(&file.at(kScores));
  const auto check_length = [&](const char* key, size_t length) {
    if (length == tokens.size()) return;
    throw Error({"spm.piece", file.path(), place(key),
                 "one for each of " + std::to_string(tokens.size()) + " tokens", std::to_string(length), ""});
  };
  check_length(kTypes, types.size());
  if (scores == nullptr)
    throw Error({"cfg.type", file.path(), place(kScores), "numbers", "another type", ""});
  check_length(kScores, scores->size());
  SentencePieceFile model;
  model.algorithm = SentencePieceFile::Algorithm::bpe;
  model.unknown_id = -1;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (types[i] < static_cast<int>(Type::normal) || types[i] > static_cast<int>(Type::byte)) {
      throw Error({"spm.piece", file.path(), place(kTypes) + " " + std::to_string(i), "1 to 6",
                   std::to_string(types[i]), ""});
    }
    const auto type = static_cast<Type>(types[i]);
    if (type == Type::unknown && model.unknown_id < 0) model.unknown_id = static_cast<std::int32_t>(i);
    std::string text = family.is_gemma ? respelled(tokens[i]) : tokens[i];
    // transformers looks for an added token in the file's own spelling only, where there is none then.
    const bool plain = text != tokens[i] && type == Type::user_defined;
    model.pieces.push_back({std::move(text), static_cast<float>((*scores)[i]), plain ? Type::normal : type});
  }
  // Gemma's files call their <unk> a control token, and say by its id what it is.
  if (model.unknown_id < 0 && file.has(kUnknown)) {
    model.unknown_id =
        static_cast<std::int32_t>(file.integer(kUnknown, 0, static_cast<std::int64_t>(tokens.size()) - 1));
    model.pieces[static_cast<size_t>(model.unknown_id)].type = Type::unknown;
  }
  model.byte_fallback = true;
  model.remove_extra_whitespaces = false;
  check_pieces(model, file.path(), place(kTokens));
  return model;
}

// Roles as metadata key and, where the file is silent, those of the family.
void add_roles(const GgufFile& file, const SentencePieceFile& model, const Family& family,
               PieceTokens& tokens) {
  const auto add = [&](const std::string& content) {
    AddedToken token;
    token.content = content;
    token.special = true;
    tokens.add(std::move(token));
  };
  for (const char* role : {"bos", "eos", "unknown", "padding"}) {
    const std::string key = std::string("tokenizer.ggml.") + role + "_token_id";
    if (!file.has(key)) continue;
    const std::int64_t id = file.integer(key, 0, static_cast<std::int64_t>(model.pieces.size()) - 1);
    add(model.pieces[static_cast<size_t>(id)].text);
  }
  for (const std::string& content : family.roles) add(content);
}

PostProcessing read_post_processing(const GgufFile& file) {
  PostProcessing out;
  const auto add = [&](const std::string& role, bool wanted, std::vector<TokenId>& ids) {
    const std::string flag = "tokenizer.ggml.add_" + role + "_token";
    const std::string key = "tokenizer.ggml." + role + "_token_id";
    if (file.has(flag)) wanted = file.boolean(flag);
    if (wanted && file.has(key)) ids.push_back(file.integer(key, 0, INT32_MAX));
  };
  add("bos", true, out.before);  // older files have no flag and mean it
  add("eos", false, out.after);
  return out;
}

// What transformers would pass over.
void check_rules(const GgufFile& file, const Family& family) {
  const auto fail = [&](const std::string& where, const std::string& expected, const std::string& found) {
    throw Error({"spm.unsupported", file.path(), where, expected, found, ""});
  };
  for (const char* key : {"tokenizer.ggml.merges", "tokenizer.ggml.precompiled_charsmap"}) {
    if (file.has(key)) fail(place(key), "none: the scores decide", "one");
  }
  const std::string prefix = "tokenizer.ggml.add_space_prefix";
  if (file.has(prefix) && file.boolean(prefix) == family.is_gemma)
    fail(place(prefix), family.is_gemma ? "false" : "true", family.is_gemma ? "true" : "false");
}

}  // namespace

TokenizerParts read_sentencepiece_gguf(const GgufFile& file) {
  Family family = family_of(file);
  check_rules(file, family);
  SentencePieceFile model = read_vocabulary(file, family);
  PieceTokens tokens(model);
  add_roles(file, model, family, tokens);
  tokens.add_pieces();
  TokenizerParts parts;
  parts.added_tokens = tokens.take(file.path());
  parts.normalizer = std::move(family.normalizer);
  parts.model = std::make_unique<TransformersSentencePieceModel>(std::move(model), parts.added_tokens,
                                                                 family.rules, file.path());
  check_added_tokens(parts.added_tokens, *parts.model, parts.normalizer, file.path(), place(kTokens));
  parts.post_processing = read_post_processing(file);
  return parts;
}

}  // namespace safetylock
