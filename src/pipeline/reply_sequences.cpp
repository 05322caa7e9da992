#include "pipeline/reply_sequences.h"

#include <algorithm>
#include <limits>

#include "safetylock/error.h"
#include "text/chat_sequence.h"

namespace safetylock {

KeptSequence encode_reply(const CausalLM& model, const PromptPair& pair, bool safe, size_t index,
                          const CollectOptions& options) {
  const std::string where = "pair " + std::to_string(index) + ", " + (safe ? "safe" : "unsafe") + " reply";
  PairReply reply = encode_pair_reply(model.tokenizer(), model.chat_template(), pair, safe,
                                      {.tokens_per_reply = options.tokens_per_reply,
                                       .system = options.system,
                                       .trust_special_tokens = options.trust_special_tokens,
                                       .clock = options.clock},
                                      where);
  const auto tokens = static_cast<std::int64_t>(reply.chat.tokens.ids.size());
  if (tokens > model.config().max_position_embeddings) {
    throw Error({.code = "data.too_long",
                 .where = where,
                 .expected = "at most " + std::to_string(model.config().max_position_embeddings) +
                             " tokens with its prompt",
                 .found = std::to_string(tokens)});
  }
  return {.ids = std::move(reply.chat.tokens.ids), .kept = std::move(reply.kept)};
}

KeptSequence encode_reply_opening(const CausalLM& model, const PromptPair& pair, size_t index, std::int64_t n,
                                  const CollectOptions& options) {
  CollectOptions whole = options;
  whole.tokens_per_reply = std::numeric_limits<std::int64_t>::max();
  KeptSequence sequence = encode_reply(model, pair, true, index, whole);
  const std::int64_t first = sequence.kept.front();
  const std::int64_t end = first + std::min(n, sequence.kept.back() + 1 - first);
  sequence.ids.resize(static_cast<size_t>(end));
  sequence.kept.clear();
  for (std::int64_t t = std::max<std::int64_t>(0, first - 1); t < end; ++t) sequence.kept.push_back(t);
  return sequence;
}

}  // namespace safetylock
