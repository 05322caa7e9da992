#include "text/pretokenizer.h"

#include <array>
#include <utility>

namespace safetylock {
namespace {

// As transformers and tokenizers spell them: openai/gpt-2 encoder.py (tokenizers' ByteLevel),
// transformers' TikTokenConverter (Llama 3), transformers' Qwen2Tokenizer, Mistral's tekken.json, tiktoken's
// o200k_base (Phi-4-mini).
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::array<std::pair<PreTokenizerKind, std::string_view>, 5> kPatterns{{
    {PreTokenizerKind::gpt2, kGpt2},
    {PreTokenizerKind::llama3, kLlama3},
    {PreTokenizerKind::qwen2, kQwen2},
    {PreTokenizerKind::tekken, kTekken},
    {PreTokenizerKind::gpt4o, kGpt4o},
}};

const Regex& digits_regex() {
  static const Regex regex("\\p{N}");
  return regex;
}

const Regex& words_regex(PreTokenizerKind kind) {
  static const Regex gpt2(with_explicit_white_space(kGpt2));
  static const Regex llama3(with_explicit_white_space(kLlama3));
  static const Regex qwen2(with_explicit_white_space(kQwen2));
  static const Regex tekken(with_explicit_white_space(kTekken));
  static const Regex gpt4o(with_explicit_white_space(kGpt4o));
  switch (kind) {
    case PreTokenizerKind::llama3:
      return llama3;
    case PreTokenizerKind::qwen2:
      return qwen2;
    case PreTokenizerKind::tekken:
      return tekken;
    case PreTokenizerKind::gpt4o:
      return gpt4o;
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
    case PreTokenizerKind::tekken:
      return "tekken";
    case PreTokenizerKind::gpt4o:
      return "gpt4o";
    case PreTokenizerKind::qwen2:
      break;
  }
  return "qwen2";
}

std::optional<PreTokenizerKind> pretokenizer_of_regex(std::string_view regex) noexcept {
  for (const auto& [kind, pattern] : kPatterns) {
    if (regex == pattern) return kind;
  }
  return std::nullopt;
}

std::string_view pattern_of(PreTokenizerKind kind) noexcept {
  for (const auto& [known, pattern] : kPatterns) {
    if (known == kind) return pattern;
  }
  return kGpt2;
}

PreTokenizer::PreTokenizer(PreTokenizerKind kind) : words_(words_regex(kind)) {
  if (kind == PreTokenizerKind::smollm) digits_.emplace(digits_regex());
}

}  // namespace safetylock
