// Perplexity, KL and multiple choice against plain loops over the model's logits.
#include "safetylock/utility.h"

#include <gtest/gtest.h>

#include <cmath>

#include "safetylock/apply.h"
#include "support/chain_model.h"

namespace safetylock {
namespace {

using test::chain_model;
using test::code_of;

/// log softmax of a row, in double.
std::vector<double> log_probabilities(const at::Tensor& row) {
  double sum = 0;
  std::vector<double> out;
  for (std::int64_t i = 0; i < row.size(0); ++i) sum += std::exp(row[i].item<double>());
  for (std::int64_t i = 0; i < row.size(0); ++i) out.push_back(row[i].item<double>() - std::log(sum));
  return out;
}

TEST(Text, WindowsTileTheTokens) {
  const CausalLM model = chain_model("Sure, big");
  std::string text(601, 'a');
  text.back() = 'b';
  const auto ids = model.tokenizer().encode(text, {.parse_special_tokens = false}).ids;
  const auto windows = text_windows(model.tokenizer(), text);
  std::vector<TokenId> joined;
  for (const auto& window : windows) {
    EXPECT_LE(window.size(), static_cast<size_t>(kTextWindow));
    joined.insert(joined.end(), window.begin(), window.end());
  }
  EXPECT_EQ(joined, ids);
  EXPECT_EQ(code_of([&] { text_windows(model.tokenizer(), "a"); }), "data.too_short");
  EXPECT_EQ(code_of([&] { text_windows(model.tokenizer(), "a\xFF"); }), "arg.prompt");
}

TEST(Text, ScoresAreThoseOfTheLogits) {
  const CausalLM model = chain_model("Sure, big");
  const AppliedLock applied = apply_lock(model, test::lock_towards_refusal(model), {.alpha = 2.0});
  const std::vector<TokenId> window = text_windows(model.tokenizer(), "Sure, big. Who?").front();
  const WindowScore score = score_window(model, window, {.unlocked = true, .locked = true});
  Interventions none;
  const at::Tensor u = model.logits({window}, LogitsOf::all_tokens, &none);
  const at::Tensor l = model.logits({window}, LogitsOf::all_tokens);
  double nll_u = 0, nll_l = 0, kl = 0;
  for (size_t t = 0; t + 1 < window.size(); ++t) {
    const auto p = log_probabilities(u[static_cast<std::int64_t>(t)]);
    const auto q = log_probabilities(l[static_cast<std::int64_t>(t)]);
    nll_u -= p[static_cast<size_t>(window[t + 1])];
    nll_l -= q[static_cast<size_t>(window[t + 1])];
    for (size_t v = 0; v < p.size(); ++v) kl += std::exp(p[v]) * (p[v] - q[v]);
  }
  EXPECT_EQ(score.tokens, static_cast<std::int64_t>(window.size()) - 1);
  EXPECT_NEAR(score.unlocked_nll.value(), nll_u, 1e-3);
  EXPECT_NEAR(score.locked_nll.value(), nll_l, 1e-3);
  EXPECT_NEAR(score.kl.value(), kl, 1e-4);
  EXPECT_GT(kl, 1e-3);
  EXPECT_NE(nll_u, nll_l);
}

TEST(Text, WithoutALockAndWithStrengthZero) {
  const CausalLM model = chain_model("Sure, big");
  const std::vector<TokenId> window = text_windows(model.tokenizer(), "Sure, big").front();
  const WindowScore alone = score_window(model, window, {});
  EXPECT_FALSE(alone.locked_nll);
  EXPECT_FALSE(alone.kl);
  EXPECT_EQ(code_of([&] { score_window(model, window, {.unlocked = true, .locked = true}); }), "lock.state");
  EXPECT_EQ(code_of([&] { score_window(model, {window[0]}, {}); }), "arg.range");
  EXPECT_EQ(code_of([&] { mean_kl({alone}); }), "arg.pairing");
  const AppliedLock applied = apply_lock(model, test::lock_towards_refusal(model), {.alpha = 0.0});
  const WindowScore zero = score_window(model, window, {.unlocked = true, .locked = true});
  EXPECT_EQ(zero.unlocked_nll, alone.unlocked_nll);
  EXPECT_EQ(zero.locked_nll, alone.unlocked_nll);
  EXPECT_EQ(zero.kl, 0);
}

TEST(Text, MeansAreOverTokens) {
  const std::vector<WindowScore> windows = {{.tokens = 1, .unlocked_nll = 0, .locked_nll = 4, .kl = 3},
                                            {.tokens = 3, .unlocked_nll = 4, .locked_nll = 8, .kl = 1}};
  EXPECT_NEAR(perplexity(windows, false).value, std::exp(1.0), 1e-12);
  EXPECT_NEAR(perplexity(windows, true).value, std::exp(3.0), 1e-12);
  EXPECT_NEAR(perplexity(windows, false).high, std::exp(4.0 / 3), 1e-12);
  EXPECT_EQ(perplexity(windows, false).low, 1);
  EXPECT_EQ(mean_kl(windows).value, 1);
  EXPECT_EQ(mean_kl(windows).n, 2);
}

TEST(Choices, TheLikeliestPerTokenIsChosen) {
  const CausalLM model = chain_model("Q7J");
  ASSERT_EQ(model.tokenizer().encode("Q7J").ids.size(), 3U) << "a token each, as they are planted";
  const std::vector<ChoiceQuestion> questions = {
      {"Who?", {"Q7J", "nobody at all", "X"}, 0}, {"Who?", {"X", "Q7J"}, 1}, {"Who?", {"Q7J", "I"}, 1}};
  for (const std::int64_t batch : {1, 3, 16}) {
    const auto results = answer_choices(model, questions, {.batch_size = batch});
    ASSERT_EQ(results.size(), 3U);
    EXPECT_EQ(results[0].chosen, 0U);
    EXPECT_EQ(results[1].chosen, 1U);
    EXPECT_TRUE(results[1].right);
    EXPECT_FALSE(results[2].right);
    EXPECT_NEAR(results[0].scores[0], 0, 1e-4) << "certain of each character";
    EXPECT_NEAR(results[2].scores[1], -test::kChainLogit, 1e-3);
    EXPECT_EQ(accuracy(results).count, 2);
    EXPECT_EQ(accuracy(results).n, 3);
  }
  EXPECT_EQ(code_of([&] { answer_choices(model, {}); }), "data.empty");
  auto flipped = answer_choices(model, questions);
  for (ChoiceResult& r : flipped) r.right = !r.right;
  const McNemar test = compare(answer_choices(model, questions), flipped);
  EXPECT_EQ(test.unlocked_only, 2);
  EXPECT_EQ(test.locked_only, 1);
  EXPECT_DOUBLE_EQ(test.p, 1);
}

TEST(Choices, StopWhenTheCallbackSaysSo) {
  const CausalLM model = chain_model("Sure, big");
  const EvaluateOptions stop{.on_progress = [](const Progress&) { return false; }};
  EXPECT_EQ(code_of([&] { answer_choices(model, {{"Who?", {"a", "b"}, 0}}, stop); }), "run.interrupted");
}

}  // namespace
}  // namespace safetylock
