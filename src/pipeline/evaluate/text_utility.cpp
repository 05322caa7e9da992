// What a lock does to plain text: perplexity, and KL divergence from the unlocked model.
#include <ATen/ATen.h>

#include <cmath>

#include "pipeline/evaluate/continuation.h"
#include "pipeline/evaluate/divergence.h"
#include "pipeline/evaluate/request_interventions.h"
#include "pipeline/evaluate_parts.h"
#include "safetylock/error.h"
#include "safetylock/utility.h"

namespace safetylock {
namespace {

double nll_of(const at::Tensor& logits, const std::vector<TokenId>& window) {
  return token_nll(logits, window).sum().item<double>();
}

Mean mean_per_token(const std::vector<WindowScore>& windows, std::optional<double> WindowScore::*score) {
  std::vector<double> sums, tokens;
  for (const WindowScore& window : windows) {
    if (!(window.*score)) {
      throw Error({.code = "arg.pairing",
                   .where = "windows of text",
                   .expected = "windows with this score",
                   .found = "one without it"});
    }
    sums.push_back(*(window.*score));
    tokens.push_back(static_cast<double>(window.tokens));
  }
  return ratio_of(sums, tokens);
}

}  // namespace

std::vector<std::vector<TokenId>> text_windows(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<TokenId> ids = tokenizer.encode(text, {.parse_special_tokens = false}).ids;
  std::vector<std::vector<TokenId>> windows;
  for (size_t begin = 0; begin + 1 < ids.size(); begin += kTextWindow) {
    const size_t end = std::min(begin + static_cast<size_t>(kTextWindow), ids.size());
    windows.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                         ids.begin() + static_cast<std::ptrdiff_t>(end));
  }
  if (windows.empty()) {
    throw Error({.code = "data.too_short",
                 .where = "text",
                 .expected = "at least two tokens",
                 .found = std::to_string(ids.size())});
  }
  return windows;
}

WindowScore score_window(const CausalLM& model, const std::vector<TokenId>& window, const Passes& passes) {
  if (window.size() < 2) {
    throw Error({.code = "arg.range",
                 .where = "window",
                 .expected = "at least two tokens",
                 .found = std::to_string(window.size())});
  }
  const c10::InferenceMode inference;
  WindowScore score{.tokens = static_cast<std::int64_t>(window.size()) - 1};
  const auto pass = [&](const std::optional<Strength>& strength) {
    const std::optional<Interventions> added = request_interventions(model, strength);
    return model.logits({window}, LogitsOf::all_tokens, added ? &*added : nullptr);
  };
  at::Tensor unlocked, locked;
  if (passes.unlocked) {
    unlocked = pass(Strength(0));
    score.unlocked_nll = nll_of(unlocked, window);
  }
  if (passes.locked) {
    if (model.default_interventions() == nullptr) {
      throw Error(
          {.code = "lock.state", .where = "score_window", .expected = "a lock applied", .found = "none"});
    }
    locked = pass(std::nullopt);
    score.locked_nll = nll_of(locked, window);
  }
  if (passes.unlocked && passes.locked)
    score.kl = kl_sum(unlocked.slice(0, 0, score.tokens), locked.slice(0, 0, score.tokens));
  return score;
}

Mean perplexity(const std::vector<WindowScore>& windows, bool locked) {
  Mean mean = mean_per_token(windows, locked ? &WindowScore::locked_nll : &WindowScore::unlocked_nll);
  for (double* value : {&mean.value, &mean.low, &mean.high}) *value = std::exp(*value);
  return mean;
}

Mean mean_kl(const std::vector<WindowScore>& windows) {
  return mean_per_token(windows, &WindowScore::kl);
}

}  // namespace safetylock
