// Which bytes of a rendered prompt the template itself wrote.
#pragma once

#include <vector>

#include "safetylock/chat_template.h"
#include "text/normalizer.h"

namespace safetylock {

class TemplateSpans {
 public:
  /// Throws Error arg.spans when the spans do not tile the text.
  explicit TemplateSpans(const RenderedPrompt& prompt);

  /// Whether the template wrote all of [begin, end), which must not be empty.
  bool cover(size_t begin, size_t end) const noexcept;

 private:
  std::vector<ByteRange> ranges_;  // in order, not touching
};

}  // namespace safetylock
