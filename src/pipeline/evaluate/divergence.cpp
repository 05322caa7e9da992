#include "pipeline/evaluate/divergence.h"

#include <algorithm>

#include "model/torch_includes.h"

namespace safetylock {
namespace {

/// Rows of V values that are held in several copies at once.
constexpr std::int64_t kRowsAtOnce = 64;
constexpr std::int64_t kMaxLogits = std::int64_t{1} << 27;  // 512 MiB of float32

/// Logits [strengths, counted, V] that predict the rest.
at::Tensor counted_logits(const CausalLM& model, const Interventions& lock, const Continuation& text,
                          std::vector<Strength> strengths) {
  const auto copies = static_cast<std::int64_t>(strengths.size());
  const Interventions interventions{
      .biases = lock.biases, .strengths = std::move(strengths), .alpha_max = lock.alpha_max};
  // The last token predicts nothing that counts.
  std::vector<TokenId> read = whole(text);
  read.pop_back();
  const at::Tensor logits =
      model.logits(std::vector(static_cast<std::size_t>(copies), read), LogitsOf::all_tokens, &interventions);
  return logits.view({copies, static_cast<std::int64_t>(read.size()), -1})
      .narrow(1, static_cast<std::int64_t>(text.begin.size()) - 1,
              static_cast<std::int64_t>(text.rest.size()));
}

}  // namespace

double kl_sum(const at::Tensor& p, const at::Tensor& q) {
  double sum = 0;
  for (std::int64_t row = 0; row < p.size(0); row += kRowsAtOnce) {
    const at::Tensor log_p = p.slice(0, row, row + kRowsAtOnce).log_softmax(1, at::kDouble);
    const at::Tensor log_q = q.slice(0, row, row + kRowsAtOnce).log_softmax(1, at::kDouble);
    sum += (log_p.exp() * (log_p - log_q)).sum().item<double>();
  }
  return sum;
}

std::vector<double> mean_divergences(const CausalLM& model, const Interventions& lock,
                                     const Continuation& text, const std::vector<Strength>& strengths) {
  const c10::InferenceMode inference;
  // A copy, so that the whole text's logits can go.
  const at::Tensor unlocked = counted_logits(model, lock, text, {Strength()})[0].clone();
  const std::int64_t logits_each = static_cast<std::int64_t>(whole(text).size()) * model.config().vocab_size;
  const auto together = static_cast<std::size_t>(std::max<std::int64_t>(1, kMaxLogits / logits_each));
  std::vector<double> means;
  for (std::size_t begin = 0; begin < strengths.size(); begin += together) {
    const std::size_t end = std::min(begin + together, strengths.size());
    const at::Tensor locked = counted_logits(model, lock, text,
                                             {strengths.begin() + static_cast<std::ptrdiff_t>(begin),
                                              strengths.begin() + static_cast<std::ptrdiff_t>(end)});
    for (std::int64_t i = 0; i < locked.size(0); ++i) {
      // Rounding can leave a zero slightly below 0.
      means.push_back(std::max(0.0, kl_sum(unlocked, locked[i]) / static_cast<double>(text.rest.size())));
    }
  }
  return means;
}

}  // namespace safetylock
