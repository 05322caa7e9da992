#include "text/template_spans.h"

#include <algorithm>
#include <string>

#include "safetylock/error.h"

namespace safetylock {

TemplateSpans::TemplateSpans(const RenderedPrompt& prompt) {
  size_t at = 0;
  const auto refuse = [&](size_t i, const std::string& found) {
    throw Error({"arg.spans", "", "span " + std::to_string(i),
                 "spans that tile the text from byte " + std::to_string(at), found, ""});
  };
  for (size_t i = 0; i < prompt.spans.size(); ++i) {
    const auto& span = prompt.spans[i];
    if (span.begin != at || span.end < span.begin || span.end > prompt.text.size())
      refuse(i, std::to_string(span.begin) + " to " + std::to_string(span.end));
    at = span.end;
    if (span.message != RenderedPrompt::kTemplate || span.begin == span.end) continue;
    if (!ranges_.empty() && ranges_.back().end == span.begin) {
      ranges_.back().end = span.end;
    } else {
      ranges_.push_back({span.begin, span.end});
    }
  }
  if (at != prompt.text.size())
    refuse(prompt.spans.size(), "a text of " + std::to_string(prompt.text.size()) + " bytes");
}

bool TemplateSpans::cover(size_t begin, size_t end) const noexcept {
  const auto it = std::upper_bound(ranges_.begin(), ranges_.end(), begin,
                                   [](size_t b, const ByteRange& r) { return b < r.end; });
  return it != ranges_.end() && it->begin <= begin && end <= it->end;
}

}  // namespace safetylock
