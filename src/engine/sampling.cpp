#include "engine/sampling.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>

#include "safetylock/error.h"

namespace safetylock {
namespace {

std::string text_of(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

void check_between(const char* name, double value, double lo, double hi) {
  if (value >= lo && value <= hi) return;  // also false for NaN
  throw Error({.code = "arg.range",
               .where = name,
               .expected = text_of(lo) + " to " + text_of(hi),
               .found = text_of(value)});
}

void check_without_effect(const char* name, bool is_default) {
  if (is_default) return;
  throw Error({.code = "arg.range",
               .where = name,
               .expected = "a temperature above 0 with it",
               .found = "temperature 0, at which it has no effect"});
}

/// splitmix64: one step of Weyl's sequence, then a bijection that spreads every bit over all others.
std::uint64_t mixed(std::uint64_t z) noexcept {
  z += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

/// Of equal scores the lower id counts as the better one, as with argmax; torch leaves their order open.
bool is_better(const SamplingCandidate& a, const SamplingCandidate& b) noexcept {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

}  // namespace

void check_sampling(const SamplingOptions& options) {
  check_between("sampling.temperature", options.temperature, 0, 100);
  check_between("sampling.top_p", options.top_p, 0, 1);
  check_between("sampling.min_p", options.min_p, 0, 1);
  check_between("sampling.repetition_penalty", options.repetition_penalty, 0.01, 100);
  if (options.top_k < 0) {
    throw Error({.code = "arg.range",
                 .where = "sampling.top_k",
                 .expected = "0 or more",
                 .found = std::to_string(options.top_k)});
  }
  if (options.temperature > 0) return;
  check_without_effect("sampling.top_k", options.top_k == 0);
  check_without_effect("sampling.top_p", options.top_p == 1);
  check_without_effect("sampling.min_p", options.min_p == 0);
}

bool is_greedy(const SamplingOptions& options) noexcept {
  return options.temperature == 0 && options.repetition_penalty == 1;
}

double uniform_draw(std::uint64_t seed, std::uint64_t request, std::uint64_t step) noexcept {
  const std::uint64_t bits = mixed(mixed(mixed(seed) ^ request) ^ step);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

void Sampler::score(std::span<const float> logits, const SamplingContext& context,
                    const SamplingOptions& options) {
  kept_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    kept_[i] = {.id = static_cast<TokenId>(i), .score = logits[i], .weight = 0};
  if (options.repetition_penalty != 1) {
    const auto penalise = [&](std::span<const TokenId> ids) {
      for (const TokenId id : ids) {
        const auto i = static_cast<size_t>(id);
        if (i >= logits.size()) continue;
        // From the raw logit: a token that occurs twice is penalised once.
        const double logit = logits[i];
        kept_[i].score = logit < 0 ? logit * options.repetition_penalty : logit / options.repetition_penalty;
      }
    };
    penalise(context.prompt);
    penalise(context.reply);
  }
  double best = kept_.front().score;
  for (const SamplingCandidate& c : kept_) best = std::max(best, c.score);
  // The difference first: the quotient of a large logit and a tiny temperature would be infinite.
  const double temperature = options.temperature > 0 ? options.temperature : 1;
  for (SamplingCandidate& c : kept_) c.score = (c.score - best) / temperature;
}

/// As argmax: of equal scores the lowest id.
void Sampler::keep_best() {
  const auto best = std::find_if(kept_.begin(), kept_.end(), [](const auto& c) { return c.score == 0; });
  kept_ = {{.id = best->id, .score = 0, .weight = 1}};
}

void Sampler::keep_top_k(std::int64_t k) {
  if (static_cast<std::uint64_t>(k) >= kept_.size()) return;
  std::vector<double> scores;
  scores.reserve(kept_.size());
  for (const SamplingCandidate& c : kept_) scores.push_back(c.score);
  const auto last = scores.begin() + (k - 1);
  std::nth_element(scores.begin(), last, scores.end(), std::greater<>());
  std::erase_if(kept_, [threshold = *last](const SamplingCandidate& c) { return c.score < threshold; });
}

/// Drops the least likely tokens that together hold at most 1 - p. A heap, since few are kept as a rule.
void Sampler::keep_top_p(double p) {
  double total = 0;
  for (const SamplingCandidate& c : kept_) total += c.weight;
  const auto worse = [](const SamplingCandidate& a, const SamplingCandidate& b) { return is_better(b, a); };
  auto rest_end = kept_.end();
  std::make_heap(kept_.begin(), rest_end, worse);
  double above = 0;
  do {
    std::pop_heap(kept_.begin(), rest_end--, worse);
    above += rest_end->weight;
  } while (rest_end != kept_.begin() && (total - above) / total > 1 - p);
  kept_.erase(kept_.begin(), rest_end);
  std::sort(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
}

std::span<const SamplingCandidate> Sampler::candidates(std::span<const float> logits,
                                                       const SamplingContext& context,
                                                       const SamplingOptions& options) {
  score(logits, context, options);
  if (options.temperature == 0) {
    keep_best();
    return kept_;
  }
  if (options.top_k > 0) keep_top_k(options.top_k);
  for (SamplingCandidate& c : kept_) c.weight = std::exp(c.score);
  if (options.top_p < 1) keep_top_p(options.top_p);
  if (options.min_p > 0) {
    // The best token's weight is 1.
    std::erase_if(kept_, [&](const SamplingCandidate& c) { return c.weight < options.min_p; });
  }
  return kept_;
}

TokenId Sampler::choose(std::span<const float> logits, const SamplingContext& context,
                        const SamplingOptions& options, double draw) {
  const std::span<const SamplingCandidate> tokens = candidates(logits, context, options);
  double total = 0;
  for (const SamplingCandidate& c : tokens) total += c.weight;
  double below = 0;
  TokenId chosen = tokens.front().id;
  for (const SamplingCandidate& c : tokens) {
    if (c.weight == 0) continue;
    chosen = c.id;
    below += c.weight;
    if (below > draw * total) break;  // where rounding keeps it from happening, the last one is chosen
  }
  return chosen;
}

}  // namespace safetylock
