#include "pipeline/divergence.h"

#include <algorithm>

#include "model/torch_includes.h"

namespace safetylock {
namespace {

constexpr std::int64_t kMaxLogits = std::int64_t{1} << 27;  // 512 MiB of float32

/// Log-probabilities [strengths, counted, V] of the distributions that predict the counted tokens.
at::Tensor log_probabilities(const CausalLM& model, const Interventions& lock, const ScoredTokens& text,
                             std::vector<Strength> strengths) {
  const auto copies = static_cast<std::int64_t>(strengths.size());
  const Interventions interventions{
      .biases = lock.biases, .strengths = std::move(strengths), .alpha_max = lock.alpha_max};
  // The last token predicts nothing that counts.
  const std::vector<TokenId> read(text.ids.begin(), text.ids.end() - 1);
  const at::Tensor logits =
      model.logits(std::vector(static_cast<std::size_t>(copies), read), LogitsOf::all_tokens, &interventions);
  return logits.view({copies, static_cast<std::int64_t>(read.size()), -1})
      .narrow(1, static_cast<std::int64_t>(text.begin) - 1, static_cast<std::int64_t>(text.counted()))
      .log_softmax(-1);
}

}  // namespace

std::vector<double> mean_divergences(const CausalLM& model, const Interventions& lock,
                                     const ScoredTokens& text, const std::vector<Strength>& strengths) {
  const c10::InferenceMode inference;
  const at::Tensor unlocked = log_probabilities(model, lock, text, {Strength()});
  const at::Tensor probabilities = unlocked.exp();
  const std::int64_t logits_each = static_cast<std::int64_t>(text.ids.size()) * model.config().vocab_size;
  const auto together = static_cast<std::size_t>(std::max<std::int64_t>(1, kMaxLogits / logits_each));
  std::vector<double> means;
  for (std::size_t begin = 0; begin < strengths.size(); begin += together) {
    const std::size_t end = std::min(begin + together, strengths.size());
    const at::Tensor locked = log_probabilities(model, lock, text,
                                                {strengths.begin() + static_cast<std::ptrdiff_t>(begin),
                                                 strengths.begin() + static_cast<std::ptrdiff_t>(end)});
    const at::Tensor kl = (probabilities * (unlocked - locked)).sum(-1, false, at::kDouble).mean(1).cpu();
    for (std::int64_t i = 0; i < kl.size(0); ++i) {
      // Rounding can leave a zero slightly below 0.
      means.push_back(std::max(0.0, kl[i].item<double>()));
    }
  }
  return means;
}

}  // namespace safetylock
