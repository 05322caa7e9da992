#include "safetylock/tokenizer.h"

#include <algorithm>

#include "base/file.h"
#include "base/out_of_memory.h"
#include "base/utf8.h"
#include "formats/gguf.h"
#include "formats/model_folder.h"
#include "formats/sniff.h"
#include "safetylock/error.h"
#include "text/template_spans.h"
#include "text/tokenizer_digest.h"
#include "text/tokenizer_folder.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_parts.h"
#include "text/tokenizer_sentencepiece.h"
#include "text/unicode.h"

namespace safetylock {
namespace {

// Positions within a word are 32 bits wide; a prompt is nowhere near this.
constexpr size_t kMaxTextBytes = size_t{1} << 30;

void check_text(std::string_view text) {
  if (const auto bad = utf8::find_invalid(text)) {
    throw Error({"arg.prompt", "", "byte " + std::to_string(*bad), "valid UTF-8",
                 "\"" + escape_untrusted(text.substr(*bad, 4)) + "\"", ""});
  }
  if (text.size() > kMaxTextBytes) {
    throw Error({"limit.text", "", "prompt", "at most " + std::to_string(kMaxTextBytes) + " bytes",
                 std::to_string(text.size()), ""});
  }
}

using MayBeSpecial = std::function<bool(size_t begin, size_t end)>;  // of original bytes

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerParts parts)
      : model(std::move(parts.model)),
        added(std::move(parts.added_tokens), parts.normalizer),
        normalizer(std::move(parts.normalizer)),
        post_processing(std::move(parts.post_processing)),
        digest(tokenizer_digest(*model, normalizer, added.all())) {
    size = static_cast<std::int64_t>(model->size());
    if (!added.all().empty()) size = std::max(size, added.all().back().id + 1);
  }

  static Tokenizer read(const std::string& path_or_repository);

  Encoding encode(std::string_view text, const EncodeOptions& options,
                  const MayBeSpecial& may_be_special) const;
  void trim(std::string_view text, TokenId id, bool first, Encoding::Offsets& offsets) const;
  std::vector<SubwordModel::Piece> pieces(const std::vector<TokenId>& ids, bool skip_special_tokens) const;

  std::unique_ptr<SubwordModel> model;
  AddedTokens added;
  Normalizer normalizer;
  PostProcessing post_processing;
  std::string digest;
  std::int64_t size = 0;
};

namespace {

// One run of the pipeline: added tokens in the raw text; between them normalisation, added tokens in the
// normalised text, and between those the model.
class EncodeRun {
 public:
  EncodeRun(const Tokenizer::Impl& tokenizer, bool parse_special, const MayBeSpecial& may_be_special)
      : t_(tokenizer),
        parse_special_(parse_special),
        may_be_special_(may_be_special),
        encoder_(tokenizer.model->encoder(parse_special)) {}

  Encoding run(std::string_view text) {
    for (const auto& piece : t_.added.cut(text, false, {parse_special_, may_be_special_})) {
      if (piece.token != nullptr) {
        put(piece.token->id, {piece.begin, piece.end});
      } else {
        encode_text(t_.normalizer(text.substr(piece.begin, piece.end - piece.begin), piece.begin));
      }
    }
    return std::move(out_);
  }

 private:
  void put(TokenId id, ByteRange range) {
    out_.ids.push_back(id);
    out_.offsets.push_back({range.begin, range.end});
  }

  void encode_text(const NormalizedText& text) {
    AddedTokens::Rules rules{parse_special_, nullptr};
    if (may_be_special_) {
      rules.may_be_special = [&](size_t begin, size_t end) {
        const ByteRange range = text.original_range(begin, end);
        return may_be_special_(range.begin, range.end);
      };
    }
    for (const auto& piece : t_.added.cut(text.text(), true, rules)) {
      if (piece.token != nullptr) {
        put(piece.token->id, text.original_range(piece.begin, piece.end));
      } else {
        encode_piece(text, piece.begin, piece.end);
      }
    }
  }

  void encode_piece(const NormalizedText& text, size_t from, size_t to) {
    tokens_.clear();
    const bool at_start = text.original_range(from, to).begin == 0;
    encoder_->encode(text.text().substr(from, to - from), at_start, tokens_);
    for (const auto& token : tokens_)
      put(token.id, text.original_range(from + token.begin, from + token.end));
  }

  const Tokenizer::Impl& t_;
  bool parse_special_;
  const MayBeSpecial& may_be_special_;
  std::unique_ptr<SubwordModel::Encoder> encoder_;
  std::vector<SubwordToken> tokens_;
  Encoding out_;
};

// Number of characters at the start of `token` that ByteLevel's trim_offsets takes for spaces.
template <typename Iterator>
size_t count_spaces(Iterator begin, Iterator end) {
  return static_cast<size_t>(std::find_if_not(begin, end, unicode::is_white_space) - begin);
}

}  // namespace

// tokenizers' process_offsets: moves both ends inwards over the token's white space, one original character
// for each, but keeps a single leading space of the first token when add_prefix_space is set.
void Tokenizer::Impl::trim(std::string_view text, TokenId id, bool first, Encoding::Offsets& offsets) const {
  std::u32string token;
  const AddedToken* added_token = added.find(id);
  const std::string_view bytes =
      added_token != nullptr ? text.substr(offsets.begin, offsets.end - offsets.begin) : model->bytes(id);
  // A token of the model may end inside a character, but its spaces are single bytes.
  for (size_t i = 0; i < bytes.size();) {
    const utf8::Decoded d = utf8::decode(bytes.substr(i));
    const bool is_space = d.valid && (added_token != nullptr || d.code_point == ' ');
    token.push_back(is_space ? d.code_point : U'x');
    i += d.length;
  }
  size_t leading = count_spaces(token.begin(), token.end());
  const size_t trailing = count_spaces(token.rbegin(), token.rend());
  const bool is_first = first || offsets.begin == 0;
  if (leading == 1 && is_first && post_processing.add_prefix_space) leading = 0;
  for (size_t i = 0; i < leading && offsets.begin < offsets.end; ++i)
    offsets.begin = unicode::character_end(text, offsets.begin);
  for (size_t i = 0; i < trailing && offsets.end > offsets.begin; ++i)
    offsets.end = unicode::character_begin(text, offsets.end - 1);
}

Encoding Tokenizer::Impl::encode(std::string_view text, const EncodeOptions& options,
                                 const MayBeSpecial& may_be_special) const {
  check_text(text);
  Encoding out = EncodeRun(*this, options.parse_special_tokens, may_be_special).run(text);
  if (post_processing.trim_offsets) {
    for (size_t i = 0; i < out.ids.size(); ++i) trim(text, out.ids[i], i == 0, out.offsets[i]);
  }
  if (options.add_special_tokens) {
    const auto& [before, after, trim_offsets, add_prefix_space] = post_processing;
    out.ids.insert(out.ids.begin(), before.begin(), before.end());
    out.offsets.insert(out.offsets.begin(), before.size(), {0, 0});
    out.ids.insert(out.ids.end(), after.begin(), after.end());
    out.offsets.resize(out.ids.size(), {0, 0});
  }
  return out;
}

Tokenizer Tokenizer::Impl::read(const std::string& path_or_repository) {
  const std::string path = resolve_model_path(path_or_repository);
  if (is_directory(path)) {
    return Tokenizer(std::make_unique<Impl>(read_tokenizer_folder(path)));
  }
  return Tokenizer(std::make_unique<Impl>(read_gguf_tokenizer(GgufFile(path))));
}

Tokenizer Tokenizer::from_pretrained(const std::string& path) {
  return naming_memory_errors(path, [&] { return Impl::read(path); });
}

Tokenizer Tokenizer::from_tokenizer_json(const std::string& path) {
  return naming_memory_errors(
      path, [&] { return from_tokenizer_json_text(read_file(path, kMaxTokenizerJsonBytes), path); });
}

Tokenizer Tokenizer::from_sentencepiece(const std::string& path) {
  return naming_memory_errors(
      path, [&] { return Tokenizer(std::make_unique<Impl>(read_bare_sentencepiece(path))); });
}

Tokenizer Tokenizer::from_tokenizer_json_text(std::string_view json, const std::string& file) {
  return naming_memory_errors(file, [&] {
    return Tokenizer(std::make_unique<Impl>(TokenizerJson(json, escape_untrusted(file, 1000)).parts()));
  });
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Encoding Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return impl_->encode(text, options, nullptr);
}

Encoding Tokenizer::encode(const RenderedPrompt& prompt, bool trust_special_tokens) const {
  const TemplateSpans spans(prompt);
  if (trust_special_tokens) return impl_->encode(prompt.text, {}, nullptr);
  return impl_->encode(prompt.text, {}, [&](size_t begin, size_t end) { return spans.cover(begin, end); });
}

std::vector<SubwordModel::Piece> Tokenizer::Impl::pieces(const std::vector<TokenId>& ids,
                                                         bool skip_special_tokens) const {
  std::vector<SubwordModel::Piece> out;
  out.reserve(ids.size());
  for (const TokenId id : ids) {
    if (id < 0 || id >= size) {
      throw Error(
          {"arg.range", "", "token id", "0 to " + std::to_string(size) + " - 1", std::to_string(id), ""});
    }
    const AddedToken* token = added.find(id);
    if (token == nullptr) {
      out.push_back({id, std::nullopt});
    } else if (!token->special || !skip_special_tokens) {
      out.push_back(
          {id, token->normalized ? std::string(normalizer(token->content).text()) : token->content});
    }
  }
  return out;
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids, bool skip_special_tokens) const {
  return impl_->model->decode(impl_->pieces(ids, skip_special_tokens));
}

std::string Tokenizer::decode_bytes(const std::vector<TokenId>& ids, bool skip_special_tokens) const {
  return impl_->model->decode_bytes(impl_->pieces(ids, skip_special_tokens));
}

std::int64_t Tokenizer::vocab_size() const noexcept {
  return impl_->size;
}

std::optional<TokenId> Tokenizer::token_to_id(std::string_view token) const {
  if (const AddedToken* found = impl_->added.find(token)) return found->id;
  return impl_->model->find(token);
}

bool Tokenizer::is_special(TokenId id) const noexcept {
  const AddedToken* token = impl_->added.find(id);
  return token != nullptr && token->special;
}

const std::string& Tokenizer::digest() const noexcept {
  return impl_->digest;
}

}  // namespace safetylock
