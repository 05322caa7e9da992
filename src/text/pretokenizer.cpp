#include "text/pretokenizer.h"

namespace safetylock {
namespace {

// As transformers and tokenizers spell them: openai/gpt-2 encoder.py (tokenizers' ByteLevel),
// transformers' TikTokenConverter (Llama 3), transformers' Qwen2Tokenizer.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const Regex& digits_regex() {
  static const Regex regex("\\p{N}");
  return regex;
}

const Regex& words_regex(PreTokenizerKind kind) {
  static const Regex gpt2(with_explicit_white_space(kGpt2));
  static const Regex llama3(with_explicit_white_space(kLlama3));
  static const Regex qwen2(with_explicit_white_space(kQwen2));
  switch (kind) {
    case PreTokenizerKind::llama3:
      return llama3;
    case PreTokenizerKind::qwen2:
      return qwen2;
    case PreTokenizerKind::gpt2:
    case PreTokenizerKind::smollm:
      break;
  }
  return gpt2;
}

}  // namespace

std::string_view name_of(PreTokenizerKind kind) noexcept {
  switch (kind) {
    case PreTokenizerKind::gpt2:
      return "gpt2";
    case PreTokenizerKind::smollm:
      return "smollm";
    case PreTokenizerKind::llama3:
      return "llama3";
    case PreTokenizerKind::qwen2:
      break;
  }
  return "qwen2";
}

std::optional<PreTokenizerKind> pretokenizer_of_regex(std::string_view regex) noexcept {
  if (regex == kGpt2) return PreTokenizerKind::gpt2;
  if (regex == kLlama3) return PreTokenizerKind::llama3;
  if (regex == kQwen2) return PreTokenizerKind::qwen2;
  return std::nullopt;
}

PreTokenizer::PreTokenizer(PreTokenizerKind kind) : words_(words_regex(kind)) {
  if (kind == PreTokenizerKind::smollm) digits_.emplace(digits_regex());
}

}  // namespace safetylock
