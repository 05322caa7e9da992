#include "pipeline/reply_sequences.h"

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

}  // namespace safetylock
