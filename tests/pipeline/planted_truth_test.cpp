// The method from end to end on a model whose safety head, strengths and replies are known.
#include <gmock/gmock.h>

#include <algorithm>

#include "safetylock/apply.h"
#include "safetylock/derive.h"
#include "safetylock/evaluate.h"
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

}  // namespace
}  // namespace safetylock
