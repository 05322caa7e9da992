// The method from end to end on a model whose safety head, strengths and replies are known.
#include <gmock/gmock.h>

#include <algorithm>

#include "pipeline/evaluate/divergence.h"
#include "pipeline/sweep_choice.h"
#include "safetylock/apply.h"
#include "safetylock/derive.h"
#include "safetylock/evaluate.h"
#include "safetylock/ranking_evidence.h"
#include "safetylock/sweep.h"
#include "safetylock/transfer.h"
#include "support/planted_model.h"

namespace safetylock {
namespace {

using test::Planted;

constexpr Planted kBase{.compliance = 1}, kTuned{.compliance = 5};
const std::vector<std::string> kHarmful = {"AB!!!!!!!!!!!!!!!!!!!!!!CD", "!!!!!!!!!!EFGH!!!!!!!!!!!!"},
                               kBenign = {"What is rye?", "Where is Rome?", "Who?"};

HeadActivations activations(const std::vector<PromptPair>& pairs) {
  const CausalLM base = kBase.build();
  return collect_head_activations(base, pairs);
}

SafetyLock planted_lock() {
  const HeadActivations acts = activations(test::planted_pairs(40, 1));
  return derive_lock(acts, rank_heads(acts), {.num_heads = 1});
}

/// Share of '!' among the tokens that the model reads of a prompt.
double harm_share(const CausalLM& model, const std::string& prompt) {
  const Generation generation = generate(model, prompt, {.max_new_tokens = 1});
  return static_cast<double>(std::count(prompt.begin(), prompt.end(), '!')) /
         static_cast<double>(generation.prompt_ids.size());
}

double turning_point(const CausalLM& model, const SafetyLock& lock, const std::string& prompt) {
  const HeadDirection& head = lock.heads().front();
  return kTuned.turning_point(harm_share(model, prompt), static_cast<double>(head.sigma * head.direction[0]));
}

std::vector<Outcome> outcomes(const CausalLM& model, const std::vector<std::string>& prompts) {
  std::vector<Outcome> outcomes;
  for (const PromptResult& result : evaluate(model, prompts).results) outcomes.push_back(result.outcome);
  return outcomes;
}

TEST(PlantedTruth, TheMapShowsTheSafetyHeadAlone) {
  const HeadActivations acts = activations(test::planted_pairs(40, 1));
  const std::vector<HeadScore> ranking = rank_heads(acts);
  EXPECT_EQ(ranking[0].id, kBase.safety_head);
  EXPECT_EQ(ranking[0].accuracy, 1);
  for (size_t i = 1; i < ranking.size(); ++i) {
    EXPECT_LT(ranking[i].accuracy, 0.75) << i;
    EXPECT_LT(ranking[i].ci_low, 0.6) << i;
  }
  EXPECT_GT(derive_lock(acts, ranking, {.num_heads = 1}).heads()[0].direction[0], 0.99F);
}

TEST(PlantedTruth, ShuffledLabelsShowNone) {
  std::vector<PromptPair> pairs = test::planted_pairs(40, 1);
  for (size_t i = 0; i < pairs.size(); i += 2) std::swap(pairs[i].safe, pairs[i].unsafe);
  for (const HeadScore& score : rank_heads(activations(pairs))) EXPECT_LT(score.accuracy, 0.75);
}

TEST(PlantedTruth, TuningComplies) {
  using enum Outcome;
  EXPECT_THAT(outcomes(kBase.build(), kHarmful), testing::Each(refused));
  EXPECT_THAT(outcomes(kBase.build(), kBenign), testing::Each(answered));
  EXPECT_THAT(outcomes(kTuned.build(), kHarmful), testing::Each(answered));
}

TEST(PlantedTruth, TheLockTurnsEachReplyAtItsStrength) {
  const CausalLM tuned = kTuned.build();
  const SafetyLock lock = planted_lock();
  for (const std::string& prompt : {kHarmful[0], kHarmful[1], kBenign[0]}) {
    const double alpha = turning_point(tuned, lock, prompt);
    ASSERT_GT(alpha, 1) << prompt;
    ASSERT_LT(alpha, lock.alpha_max()) << prompt;
    for (const auto& [factor, outcome] :
         {std::pair(0.99, Outcome::answered), std::pair(1.01, Outcome::refused)}) {
      const AppliedLock applied = apply_lock(tuned, lock, {.alpha = factor * alpha});
      EXPECT_EQ(evaluate(tuned, {prompt}).results[0].outcome, outcome) << prompt << " at " << factor * alpha;
    }
  }
}

// The least strength that refuses what is harmful and answers what is not, between the turning points.
TEST(PlantedTruth, TheSweepFindsTheStrength) {
  const CausalLM tuned = kTuned.build();
  const SafetyLock lock = planted_lock();
  double harmful = 0, benign = 1000;
  for (const std::string& prompt : kHarmful) harmful = std::max(harmful, turning_point(tuned, lock, prompt));
  for (const std::string& prompt : kBenign) benign = std::min(benign, turning_point(tuned, lock, prompt));
  ASSERT_LT(1.1 * harmful, 0.9 * benign);
  const SweepOptions options{
      .alphas = {1.05 * benign, 1.1 * harmful, 0.5 * harmful, 0.9 * benign, 1.05 * harmful},
      .num_heads = {1}};
  const SweepResult result = sweep(tuned, lock, kHarmful, kBenign, options);
  ASSERT_EQ(result.cells.size(), 5U);
  EXPECT_EQ(result.unlocked.harmful.answered.count, 2);
  EXPECT_EQ(result.cells[0].harmful.answered.count, 2);
  ASSERT_EQ(result.chosen, 1U);
  EXPECT_DOUBLE_EQ(result.cells[1].alpha, 1.05 * harmful);
  EXPECT_EQ(result.cells[1].harmful.refused.count, 2);
  EXPECT_EQ(result.cells[1].benign.answered.count, 3);
  EXPECT_GE(result.cells[4].benign.refused.count, 1);
  for (size_t i = 1; i < 5; ++i) EXPECT_GT(result.cells[i].kl->value, result.cells[i - 1].kl->value);
  // One strength alone gives what it gives in a batch with others.
  EXPECT_NEAR(sweep(tuned, lock, kHarmful, kBenign, {.alphas = {1.05 * harmful}, .num_heads = {1}})
                  .cells[0]
                  .kl->value,
              result.cells[1].kl->value, 1e-6);
  // A limit between two cells chooses the one before it or none.
  const double between = (result.cells[0].kl->value + result.cells[1].kl->value) / 2;
  EXPECT_EQ(mildest(result.cells, {.max_kl = between}), std::nullopt);
}

TEST(PlantedTruth, StrengthsInClassGaps) {
  const CausalLM tuned = kTuned.build();
  const SafetyLock lock = planted_lock();
  const HeadDirection& head = lock.heads().front();
  // The classes of replies of 12 letters lie about as far apart as two '#' among all tokens push.
  const double gap = 2.5;
  const SweepResult result =
      sweep(tuned, lock, kHarmful, kBenign, {.alphas = {}, .gaps = {gap}, .num_heads = {1}});
  ASSERT_EQ(result.cells.size(), 1U);
  EXPECT_NEAR(result.cells[0].alpha * static_cast<double>(head.sigma), gap * static_cast<double>(head.gap),
              1e-6);
  EXPECT_DOUBLE_EQ(*result.cells[0].gap, gap);
}

// KL(p || q) from both models' logits, one token after the other in double.
TEST(PlantedTruth, DivergenceIsItsDefinition) {
  const CausalLM tuned = kTuned.build();
  const AppliedLock applied = apply_lock(tuned, planted_lock());
  // After "S" the next token is certain, with the lock and without: where the rows begin and end shows.
  const std::vector<TokenId> ids = tuned.tokenizer().encode("ABCDEFGHSX").ids;
  ASSERT_EQ(ids.size(), 10U);
  const Continuation text{.begin = test::slice(ids, 0, 5), .rest = test::slice(ids, 5, ids.size())};
  const std::vector<Strength> strengths = {Strength(0), Strength(3), Strength(9)};
  const std::vector<double> kl = mean_divergences(tuned, applied.interventions(), text, strengths);
  ASSERT_EQ(kl.size(), 3U);
  EXPECT_EQ(kl[0], 0);
  const auto log_probabilities = [&](Strength strength) {
    Interventions interventions = applied.interventions();
    interventions.strengths = {strength};
    return tuned.logits({ids}, LogitsOf::all_tokens, &interventions).to(at::kDouble).log_softmax(-1);
  };
  for (size_t s = 1; s < strengths.size(); ++s) {
    const at::Tensor p = log_probabilities(Strength(0)), q = log_probabilities(strengths[s]);
    double sum = 0;
    for (size_t t = 5; t < ids.size(); ++t) {
      const auto row = static_cast<std::int64_t>(t) - 1;
      for (std::int64_t v = 0; v < p.size(1); ++v) {
        const auto a = p[row][v].item<double>(), b = q[row][v].item<double>();
        sum += std::exp(a) * (a - b);
      }
    }
    EXPECT_NEAR(kl[s], sum / static_cast<double>(ids.size() - 5), 1e-5) << s;
    EXPECT_GT(kl[s], 0.01);
  }
}

TransferVerdict verdict_on(const Planted& tuned, const std::vector<PromptPair>& pairs) {
  return measure_transfer(kBase.build(), tuned.build(), planted_lock(), pairs).judgement.verdict;
}

TEST(PlantedTruth, TheLockMayGoWhereItsHeadStillSeesTheSame) {
  const std::vector<PromptPair> others = test::planted_pairs(40, 2);
  EXPECT_EQ(verdict_on(kTuned, others), TransferVerdict::pass);
  EXPECT_EQ(verdict_on({.safety_head = {1, 3}, .compliance = 5}, others), TransferVerdict::refuse);
  std::vector<PromptPair> shuffled = others;
  for (size_t i = 0; i < shuffled.size(); i += 2) std::swap(shuffled[i].safe, shuffled[i].unsafe);
  EXPECT_EQ(verdict_on(kTuned, shuffled), TransferVerdict::refuse);
}

}  // namespace
}  // namespace safetylock
