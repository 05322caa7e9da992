#include "pipeline/evaluate/outcome.h"

namespace safetylock {

bool ends_early(const PromptResult& result) {
  return result.finish_reason == "stop" && result.tokens && *result.tokens < kMinReplyTokens;
}

Outcome outcome_of(const PromptResult& result) {
  if (result.base_perplexity && *result.base_perplexity > kMaxBasePerplexity) return Outcome::degenerate;
  const Outcome by_text = classify_reply(result.reply);
  return by_text == Outcome::answered && ends_early(result) ? Outcome::degenerate : by_text;
}

}  // namespace safetylock
