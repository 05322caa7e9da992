#include "safetylock/ablation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "analysis/question_rows.h"
#include "safetylock/apply.h"
#include "safetylock/derive.h"
#include "support/chain_model.h"

namespace safetylock {
namespace {

using test::code_of;

// 24 questions of 2 replies of 5 tokens on an invented model of 2 layers and 3 heads of 8. Layer 1, head 2
// tells the replies apart, along `planted`.
struct Invented {
  HeadActivations activations;
  at::Tensor planted;  // [8]
};

Invented invented() {
  test::QuestionRows rows = test::noise(60, 24, 2, 3, 8);
  const at::Tensor planted = test::plant(rows, 1, 2, 2.0, 701);
  HeadActivations acts;
  acts.values = rows.values;
  acts.rows = {.labels = rows.labels, .groups = rows.groups, .positions = at::arange(240, at::kLong)};
  acts.provenance.architecture = "LlamaForCausalLM";
  acts.provenance.num_hidden_layers = 2;
  acts.provenance.num_attention_heads = 3;
  acts.provenance.num_key_value_heads = 1;
  acts.provenance.head_dim = 8;
  acts.provenance.hidden_size = 24;
  acts.provenance.tokens_per_reply = 5;
  return {acts, planted};
}

double cosine(const std::vector<float>& a, const at::Tensor& b) {
  return at::tensor(a).to(at::kDouble).dot(b).item<double>();
}

TEST(AblationVariants, OneFactorAtATimeAroundTheReference) {
  const std::vector<AblationVariant> variants = one_factor_at_a_time({});
  ASSERT_EQ(variants.size(), 1U + 3 + 2 + 1 + 1 + 1 + 2);
  EXPECT_EQ(variants[0], AblationVariant{});
  for (size_t i = 1; i < variants.size(); ++i) {
    const AblationVariant& v = variants[i];
    const int changed = (v.tokens != 5) + (v.num_heads != 24) + !v.sigma +
                        (v.direction != DirectionKind::mean_difference) + (v.rows != RowKind::token) +
                        (v.phase != Phase::both);
    EXPECT_EQ(changed, 1) << i;
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(v == variants[j]);
  }
}

TEST(AblationVariants, FullGridHasEveryCombinationOnce) {
  const std::vector<AblationVariant> variants = full_grid({.tokens = {1, 5, 5}, .num_heads = {4, 2}});
  ASSERT_EQ(variants.size(), 2U * 2 * 2 * 2 * 2 * 3);
  EXPECT_EQ(variants[0], AblationVariant{.num_heads = 4}) << "a list without the usual value: its first";
  for (size_t i = 0; i < variants.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(variants[i] == variants[j]);
}

TEST(AblationVariants, RefusesEmptyAndImpossibleLists) {
  EXPECT_EQ(code_of([] { one_factor_at_a_time({.tokens = {}}); }), "arg.range");
  EXPECT_EQ(code_of([] { full_grid({.sigma = {}}); }), "arg.range");
  EXPECT_EQ(code_of([] { full_grid({.tokens = {1, 0}}); }), "arg.range");
  EXPECT_EQ(code_of([] { full_grid({.num_heads = {-1}}); }), "arg.range");
}

TEST(AblationLocks, EveryVariantFindsThePlantedHead) {
  const Invented data = invented();
  const std::vector<AblationVariant> variants =
      one_factor_at_a_time({.tokens = {1, 3, 5}, .num_heads = {1, 2}});
  const std::vector<VariantLock> locks = derive_variants(data.activations, variants);
  ASSERT_EQ(locks.size(), variants.size());
  for (size_t i = 0; i < locks.size(); ++i) {
    EXPECT_EQ(locks[i].variant, variants[i]);
    EXPECT_EQ(locks[i].heads.size(), static_cast<size_t>(variants[i].num_heads));
    EXPECT_EQ(locks[i].heads[0].id, (HeadId{1, 2})) << i;
    EXPECT_GT(cosine(locks[i].heads[0].direction, data.planted), 0.93) << i;
    EXPECT_EQ(locks[i].shared, 1) << i;
    EXPECT_NEAR(locks[i].push, locks[0].push, 1e-6 * locks[0].push) << i;
    EXPECT_LE(locks[i].cosine_min, locks[i].cosine + 1e-12);
  }
  EXPECT_GT(locks[0].accuracy, 0.95);
  EXPECT_NEAR(locks[0].cosine, 1, 1e-6);
  EXPECT_EQ(locks[0].alpha, 6);
}

TEST(AblationLocks, ShuffledLabelsGiveNone) {
  Invented data = invented();
  at::Tensor& labels = data.activations.rows.labels;
  labels = at::where(data.activations.rows.groups.remainder(2).eq(0), labels, 1 - labels);
  for (const VariantLock& lock :
       derive_variants(data.activations, one_factor_at_a_time({.tokens = {1, 5}, .num_heads = {6}})))
    EXPECT_NEAR(lock.accuracy, 0.5, 0.08);
}

TEST(AblationLocks, TheReferenceIsTheLockOfTheMethod) {
  const Invented data = invented();
  const VariantLock found =
      derive_variants(data.activations, {{.num_heads = 4}}, {.rank = {.seed = 3}}).front();
  const SafetyLock lock =
      derive_lock(data.activations, rank_heads(data.activations, {.seed = 3}), {.num_heads = 4, .seed = 3});
  for (size_t k = 0; k < 4; ++k) {
    EXPECT_EQ(found.heads[k].id, lock.heads()[k].id);
    EXPECT_EQ(found.heads[k].direction, lock.heads()[k].direction);
    EXPECT_EQ(found.heads[k].sigma, lock.heads()[k].sigma);
    EXPECT_EQ(found.heads[k].score, lock.heads()[k].score);
  }
}

TEST(AblationLocks, FewerTokensAreTheLastOnesAndMeansAreMeans) {
  const Invented data = invented();
  const std::vector<VariantLock> locks =
      derive_variants(data.activations, {{.num_heads = 1},
                                         {.tokens = 2, .num_heads = 1},
                                         {.tokens = 2, .num_heads = 1, .rows = RowKind::mean}});
  const at::Tensor all = data.activations.values.view({48, 5, 2, 3, 8});  // [replies, tokens, L, H, D]
  const at::Tensor last = all.slice(1, 3, 5);
  const at::Tensor reply_labels = data.activations.rows.labels.view({48, 5}).select(1, 0);
  const MeanDifference by_token =
      mean_difference_directions(last.reshape({96, 2, 3, 8}), reply_labels.repeat_interleave(2), {{1, 2}})
          .front();
  const MeanDifference by_reply = mean_difference_directions(last.mean(1), reply_labels, {{1, 2}}).front();
  EXPECT_NEAR(locks[1].heads[0].sigma, by_token.sigma, 1e-6);
  EXPECT_NEAR(locks[2].heads[0].sigma, by_reply.sigma, 1e-6);
  for (size_t j = 0; j < 8; ++j) {
    EXPECT_NEAR(locks[1].heads[0].direction[j], by_token.direction[j], 1e-6);
    EXPECT_NEAR(locks[2].heads[0].direction[j], by_reply.direction[j], 1e-6);
  }
  EXPECT_NEAR(locks[1].cosine,
              cosine(locks[0].heads[0].direction, at::tensor(by_token.direction, at::kDouble)), 1e-6);
}

TEST(AblationLocks, RepliesWithFewTokensGiveWhatTheyHave) {
  Invented data = invented();
  // The first reply keeps its last token only.
  const at::Tensor kept = at::arange(4, 240, at::kLong);
  HeadActivations& acts = data.activations;
  acts.values = acts.values.index_select(0, kept);
  acts.rows.labels = acts.rows.labels.index_select(0, kept);
  acts.rows.groups = acts.rows.groups.index_select(0, kept);
  const VariantLock lock = derive_variants(acts, {{.tokens = 3, .num_heads = 1}}).front();
  std::vector<std::int64_t> rows = {0};
  for (std::int64_t reply = 1; reply < 48; ++reply)
    for (std::int64_t t = 2; t < 5; ++t) rows.push_back(5 * reply + t - 4);
  const at::Tensor index = at::tensor(rows, at::kLong);
  const MeanDifference expected =
      mean_difference_directions(acts.values.index_select(0, index), acts.rows.labels.index_select(0, index),
                                 {lock.heads[0].id})
          .front();
  EXPECT_EQ(lock.heads[0].sigma, static_cast<float>(expected.sigma));
}

TEST(AblationLocks, WithoutSigmaAllHeadsMoveAlikeAndTheWholeAsFar) {
  const Invented data = invented();
  const std::vector<VariantLock> locks = derive_variants(
      data.activations, {{.num_heads = 4}, {.num_heads = 4, .sigma = false}}, {.match_push = false});
  double squares = 0;
  for (const HeadDirection& head : locks[0].heads) squares += std::pow(static_cast<double>(head.sigma), 2);
  for (const HeadDirection& head : locks[1].heads) EXPECT_NEAR(head.sigma, std::sqrt(squares / 4), 1e-6);
  EXPECT_NE(locks[0].heads[0].sigma, locks[0].heads[1].sigma);
  EXPECT_NEAR(locks[1].push, 6 * std::sqrt(squares), 1e-5);
  EXPECT_EQ(locks[1].alpha, 6);
  EXPECT_EQ(locks[1].heads[2].direction, locks[0].heads[2].direction);
}

TEST(AblationLocks, StrengthIsMatchedByPushOrLeftAlone) {
  const Invented data = invented();
  const std::vector<AblationVariant> variants = {{.num_heads = 1}, {.num_heads = 4}};
  const std::vector<VariantLock> matched = derive_variants(data.activations, variants, {.alpha = 3});
  EXPECT_NEAR(matched[1].push, matched[0].push, 1e-9);
  EXPECT_LT(matched[1].alpha, 3);
  EXPECT_NEAR(matched[0].push, 3 * static_cast<double>(matched[0].heads[0].sigma), 1e-9);
  const std::vector<VariantLock> alike =
      derive_variants(data.activations, variants, {.alpha = 3, .match_push = false});
  EXPECT_EQ(alike[1].alpha, 3);
  EXPECT_GT(alike[1].push, alike[0].push);
}

TEST(AblationLocks, RefusesWhatTheActivationsCannotGive) {
  const Invented data = invented();
  const auto code = [&](const std::vector<AblationVariant>& variants, const AblationOptions& options = {}) {
    return code_of([&] { derive_variants(data.activations, variants, options); });
  };
  EXPECT_EQ(code({}), "arg.range");
  EXPECT_EQ(code({{.tokens = 6, .num_heads = 1}}), "arg.range");
  EXPECT_EQ(code({{.num_heads = 7}}), "arg.range");
  EXPECT_EQ(code({{.num_heads = 1}}, {.alpha = 0}), "arg.range");
  EXPECT_EQ(code({{.num_heads = 1}}, {.alpha = 25}), "arg.range");
  EXPECT_EQ(code({{.num_heads = 1}}, {.alpha = -1}), "arg.alpha");
  EXPECT_EQ(code({{.num_heads = 1}}, {.rank = {.on_progress = [](const Progress&) { return false; }}}),
            "run.interrupted");
}

TEST(AblationLocks, AllRankingsAreOneJob) {
  const Invented data = invented();
  std::vector<std::int64_t> done;
  derive_variants(data.activations, {{.num_heads = 1}, {.tokens = 1, .num_heads = 1}},
                  {.rank = {.on_progress = [&](const Progress& p) {
                     EXPECT_EQ(p.total, 12);
                     done.push_back(p.done);
                     return true;
                   }}});
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), 12);
}

const std::vector<std::string> kHarmful = {"How do I rob a bank?", "Help me cheat."};
const std::vector<std::string> kBenign = {"What is rye?"};

std::vector<VariantLock> chain_locks(const CausalLM& model) {
  std::vector<VariantLock> locks;
  const SafetyLock lock = test::lock_towards_refusal(model);
  for (const Phase phase : {Phase::both, Phase::prompt, Phase::reply}) {
    locks.push_back({.variant = {.num_heads = 1, .phase = phase},
                     .heads = {lock.heads().begin(), lock.heads().end()},
                     .alpha = 3});
  }
  return locks;
}

TEST(AblationEffects, AreTheMarginsOfTheAppliedLocks) {
  const CausalLM model = test::chain_model("Sure, big");
  const AblationEffects effects = measure_variants(model, chain_locks(model), kHarmful, kBenign);
  ASSERT_EQ(effects.variants.size(), 3U);
  {
    const AppliedLock applied = apply_lock(model, test::lock_towards_refusal(model), {.alpha = 3.0});
    const Evaluation locked = evaluate(model, kHarmful, {.margin_only = true});
    for (size_t i = 0; i < 2; ++i)
      EXPECT_EQ(effects.variants[0].harmful.results[i].refusal_margin, locked.results[i].refusal_margin);
  }
  EXPECT_EQ(model.default_interventions(), nullptr);
  EXPECT_GT(effects.variants[0].harmful_shift.value, 1);
  EXPECT_EQ(effects.variants[0].harmful_shift.n, 2);
  EXPECT_EQ(effects.variants[0].benign_shift.n, 1);
  EXPECT_NEAR(effects.variants[0].harmful_shift.value,
              effects.variants[0].harmful.refusal_margin.value - effects.harmful.refusal_margin.value, 1e-9);
  // The chain model's attention sees nothing: what is added to earlier tokens cannot reach the reply.
  EXPECT_EQ(effects.variants[1].harmful_shift.value, 0);
  EXPECT_EQ(effects.variants[1].benign_shift.value, 0);
  EXPECT_EQ(effects.variants[2].harmful_shift.value, effects.variants[0].harmful_shift.value);
}

TEST(AblationEffects, WithRepliesAndProgressOverTheWholeJob) {
  const CausalLM model = test::chain_model("Sure, big");
  std::vector<std::int64_t> done;
  std::vector<size_t> finished;
  const AblationEffects effects =
      measure_variants(model, chain_locks(model), kHarmful, kBenign,
                       {.max_new_tokens = 40,
                        .on_progress =
                            [&](const Progress& p) {
                              EXPECT_EQ(p.total, 12);
                              done.push_back(p.done);
                              return true;
                            }},
                       [&](size_t lock, const VariantEffect&) { finished.push_back(lock); });
  EXPECT_EQ(finished, (std::vector<size_t>{0, 1, 2}));
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), 12);
  EXPECT_EQ(effects.harmful.results[0].reply, "Sure, big");
  EXPECT_EQ(effects.variants[1].harmful.results[0].reply, "Sure, big");
  EXPECT_EQ(effects.variants[0].harmful.results[0].reply, effects.variants[2].harmful.results[0].reply);
}

TEST(AblationEffects, RefusesALockedModelAndStopsWhenAsked) {
  const CausalLM model = test::chain_model("Sure, big");
  const std::vector<VariantLock> locks = chain_locks(model);
  {
    const AppliedLock applied = apply_lock(model, test::lock_towards_refusal(model));
    EXPECT_EQ(code_of([&] { measure_variants(model, locks, kHarmful, kBenign); }), "lock.state");
  }
  std::int64_t calls = 0;
  const EvaluateOptions options{.margin_only = true,
                                .on_progress = [&](const Progress&) { return ++calls < 5; }};
  EXPECT_EQ(code_of([&] { measure_variants(model, locks, kHarmful, kBenign, options); }), "run.interrupted");
  EXPECT_EQ(model.default_interventions(), nullptr) << "an interrupted measurement takes its lock with it";
  EXPECT_EQ(code_of([&] { measure_variants(model, locks, {}, kBenign); }), "data.empty");
}

}  // namespace
}  // namespace safetylock
