#include "pipeline/evaluate/continuation.h"

#include <ATen/ATen.h>

#include "engine/chat_prompt.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// Tokens of one pass: 600 MB of logits with a vocabulary of 150,000.
constexpr size_t kTokensAtOnce = 1024;

size_t length(const Continuation& c) {
  return c.begin.size() + c.rest.size();
}

/// One past the last continuation of the batch that begins at `first`.
size_t batch_end(const std::vector<Continuation>& all, size_t first, std::int64_t batch_size) {
  size_t end = first + 1, tokens = length(all[first]);
  while (end < all.size() && end - first < static_cast<size_t>(batch_size) &&
         tokens + length(all[end]) <= kTokensAtOnce) {
    tokens += length(all[end++]);
  }
  return end;
}

/// What is added in one batch after the other, where each continuation may have a strength of its own.
class BatchInterventions {
 public:
  explicit BatchInterventions(const Interventions* all) : all_(all) {
    if (all != nullptr) batch_ = *all;
  }

  const Interventions* of(size_t begin, size_t end) {
    if (all_ == nullptr || all_->strengths.size() == 1) return all_;
    batch_.strengths.assign(all_->strengths.begin() + static_cast<std::ptrdiff_t>(begin),
                            all_->strengths.begin() + static_cast<std::ptrdiff_t>(end));
    return &batch_;
  }

 private:
  const Interventions* all_;
  Interventions batch_;
};

}  // namespace

std::vector<TokenId> whole(const Continuation& continuation) {
  std::vector<TokenId> ids = continuation.begin;
  ids.insert(ids.end(), continuation.rest.begin(), continuation.rest.end());
  return ids;
}

Continuation reply_to(const CausalLM& model, const std::string& prompt, const std::string& text,
                      const EvaluateOptions& options, size_t index) {
  const GenerateOptions chat{
      .max_new_tokens = 1, .system = options.system, .trust_special_tokens = options.trust_special_tokens};
  return {encode_chat_prompt(model, {.messages = {{"user", prompt}}}, chat, index).ids,
          model.tokenizer().encode(text, {.parse_special_tokens = false}).ids};
}

at::Tensor token_nll(const at::Tensor& logits, const std::vector<TokenId>& ids) {
  const auto n = static_cast<std::int64_t>(ids.size());
  const at::Tensor next =
      at::tensor(at::ArrayRef<TokenId>(ids).slice(1), at::kLong).to(logits.device()).unsqueeze(1);
  const at::Tensor before = logits.slice(0, 0, n - 1);
  const at::Tensor nll = (before.logsumexp(1) - before.gather(1, next).squeeze(1)).to(at::kCPU, at::kDouble);
  if (!nll.isfinite().all().item<bool>()) {
    throw Error({.code = "num.nonfinite",
                 .where = "log-likelihood of a text",
                 .expected = "finite numbers",
                 .found = "NaN or infinity"});
  }
  return nll;
}

std::vector<double> continuation_nll(const CausalLM& model, const std::vector<Continuation>& continuations,
                                     std::int64_t batch_size, const Interventions* interventions,
                                     const std::function<void(size_t done)>& report) {
  const c10::InferenceMode inference;
  BatchInterventions added(interventions);
  std::vector<double> result;
  for (size_t first = 0; first < continuations.size();) {
    report(first);
    const size_t end = batch_end(continuations, first, batch_size);
    std::vector<std::vector<TokenId>> sequences;
    for (size_t i = first; i < end; ++i) sequences.push_back(whole(continuations[i]));
    const at::Tensor logits = model.logits(sequences, LogitsOf::all_tokens, added.of(first, end));
    std::int64_t row = 0;
    for (size_t i = first; i < end; ++i) {
      const auto tokens = static_cast<std::int64_t>(length(continuations[i]));
      const auto scored = static_cast<std::int64_t>(continuations[i].rest.size());
      // From the last token of the beginning on.
      const std::vector<TokenId>& ids = sequences[i - first];
      const std::vector<TokenId> tail(ids.end() - scored - 1, ids.end());
      result.push_back(
          token_nll(logits.slice(0, row + tokens - scored - 1, row + tokens), tail).sum().item<double>());
      row += tokens;
    }
    first = end;
  }
  report(continuations.size());
  return result;
}

}  // namespace safetylock
