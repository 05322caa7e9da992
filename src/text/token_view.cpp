#include "text/token_view.h"

#include <algorithm>

#include "text/template_spans.h"

namespace safetylock {
namespace {

using Span = RenderedPrompt::Span;

/// The span that holds `byte`, or the last one.
const Span& span_at(const RenderedPrompt& prompt, size_t byte) {
  const auto after = std::upper_bound(prompt.spans.begin(), prompt.spans.end(), byte,
                                      [](size_t b, const Span& span) { return b < span.end; });
  return after == prompt.spans.end() ? prompt.spans.back() : *after;
}

/// Of the first byte of [begin, end) that the template did not write.
int foreign_origin(const RenderedPrompt& prompt, size_t begin, size_t end) {
  for (const Span& span : prompt.spans) {
    if (span.end > begin && span.begin < end && span.message != RenderedPrompt::kTemplate)
      return span.message;
  }
  return RenderedPrompt::kTemplate;
}

}  // namespace

std::vector<TypedControlToken> typed_control_tokens(const Tokenizer& tokenizer,
                                                    const RenderedPrompt& prompt) {
  const TemplateSpans spans(prompt);
  const Encoding trusted = tokenizer.encode(prompt, true);
  std::vector<TypedControlToken> typed;
  for (size_t t = 0; t < trusted.ids.size(); ++t) {
    const auto [begin, end] = trusted.offsets[t];
    if (begin == end || !tokenizer.is_special(trusted.ids[t]) || spans.cover(begin, end)) continue;
    typed.push_back({.id = trusted.ids[t],
                     .spelling = prompt.text.substr(begin, end - begin),
                     .begin = begin,
                     .end = end,
                     .origin = foreign_origin(prompt, begin, end)});
  }
  return typed;
}

std::vector<TokenView> view_tokens(const Tokenizer& tokenizer, const ChatSequence& chat,
                                   const std::vector<TypedControlToken>& typed) {
  std::vector<TokenView> views;
  for (size_t t = 0; t < chat.tokens.ids.size(); ++t) {
    const TokenId id = chat.tokens.ids[t];
    const auto [begin, end] = chat.tokens.offsets[t];
    const bool inside = std::any_of(
        typed.begin(), typed.end(),
        [begin = begin, end = end](const auto& token) { return begin < token.end && end > token.begin; });
    const bool control = tokenizer.is_special(id);
    // Control tokens that stand for no text are those the tokenizer itself put in front or at the end.
    const bool added = chat.prompt.spans.empty() || (control && begin == end);
    views.push_back({.id = id,
                     .bytes = tokenizer.decode_bytes({id}, false),
                     .begin = begin,
                     .end = end,
                     .origin = added ? RenderedPrompt::kTemplate : span_at(chat.prompt, begin).message,
                     .control = control,
                     .typed = inside});
  }
  return views;
}

}  // namespace safetylock
