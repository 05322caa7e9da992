#include "safetylock/transfer.h"

#include <numeric>

#include "safetylock/apply.h"
#include "safetylock/derive.h"
#include "support/kin_models.h"

namespace safetylock {
namespace {

using test::changed_model;
using test::code_of;
using test::HeadWeights;

constexpr const char* kTiny = "llama_gqa";  // 3 layers of 4 heads in 2 groups

/// Safe and unsafe replies that a random model tells apart: their last words are other words. With `shuffled`
/// they change places in every second pair.
std::vector<PromptPair> pairs(bool shuffled = false) {
  std::vector<PromptPair> out;
  for (const char* what : {"a lock", "a pie", "a boat", "a kite", "a song", "a knot", "a wall", "a cup",
                           "a hat", "a map", "a fire", "a poem", "a shed", "a drum", "a coat", "a net"}) {
    out.push_back({std::string("How do I make ") + what + "?",
                   std::string("I would not make ") + what + ", no no no.",
                   std::string("You can make ") + what + ", yes yes!"});
    if (shuffled && out.size() % 2 == 0) std::swap(out.back().safe, out.back().unsafe);
  }
  return out;
}

CausalLM base_model() {
  return CausalLM::from_pretrained(test::tiny_model_path(kTiny), {.device = "cpu", .dtype = "float32"});
}

SafetyLock lock_of(const CausalLM& model, const std::vector<PromptPair>& on = pairs()) {
  const HeadActivations acts = collect_head_activations(model, on);
  return derive_lock(acts, rank_heads(acts), {.num_heads = 5, .default_alpha = 2});
}

CausalLM turned_model(double angle) {
  return changed_model(kTiny, [&](std::int64_t, HeadWeights& weights) { weights.turn(angle); });
}

std::string reasons(const Transfer& t) {
  return std::accumulate(t.judgement.reasons.begin(), t.judgement.reasons.end(), std::string(),
                         [](const std::string& a, const std::string& b) { return a + b + "\n"; });
}

class TransferTiny : public testing::Test {
 protected:
  Transfer to(const CausalLM& tuned) const { return measure_transfer(base, tuned, lock, pairs()); }

  const CausalLM base = base_model();
  const SafetyLock lock = lock_of(base);
};

TEST_F(TransferTiny, AModelItselfPasses) {
  const Transfer t = to(base);
  ASSERT_EQ(t.heads.size(), 12U);
  std::int64_t locked = 0;
  for (size_t i = 0; i < t.heads.size(); ++i) {
    const HeadTransfer& head = t.heads[i];
    EXPECT_EQ(head.id, (HeadId{static_cast<std::int64_t>(i) / 4, static_cast<std::int64_t>(i) % 4}));
    EXPECT_NEAR(head.cosine, 1, 1e-12);
    EXPECT_NEAR(head.cosine_low, 1, 1e-12);
    EXPECT_NEAR(head.sigma_ratio, 1, 1e-12);
    EXPECT_NEAR(head.kl, 0, 1e-12);
    EXPECT_EQ(head.nearest, head.id.head);
    EXPECT_EQ(head.nearest_cosine, head.cosine);
    if (!head.rank) continue;
    ++locked;
    EXPECT_EQ(lock.heads()[static_cast<size_t>(*head.rank - 1)].id, head.id);
    EXPECT_NEAR(*head.lock_cosine_base, 1, 1e-6);
    EXPECT_NEAR(*head.lock_cosine_tuned, 1, 1e-6);
  }
  EXPECT_EQ(locked, 5);
  EXPECT_EQ(t.judgement.verdict, TransferVerdict::pass) << reasons(t);
  EXPECT_TRUE(t.evidence.base_differs.empty());
  EXPECT_TRUE(t.evidence.lock_pairs);
  EXPECT_FALSE(t.evidence.tokenizer_differs);
  EXPECT_EQ(t.pairs_digest, digest_of(pairs()));
  EXPECT_EQ(t.questions, 16);
}

// The function stays, every head's direction turns by the angle.
TEST_F(TransferTiny, PlantedCosinesGiveThePlantedVerdicts) {
  const struct {
    double cosine;
    TransferVerdict verdict;
  } cases[] = {
      {1, TransferVerdict::pass},
      {0.97, TransferVerdict::pass},
      {0.5 * (TransferThresholds().pass_cosine + TransferThresholds().refuse_cosine), TransferVerdict::warn},
      {0.2, TransferVerdict::refuse},
      {0, TransferVerdict::refuse},
      {-1, TransferVerdict::refuse}};
  const at::Tensor logits = base.logits({{5, 6, 7, 8}}, LogitsOf::last_token);
  for (const auto& c : cases) {
    const CausalLM tuned = turned_model(std::acos(c.cosine));
    ASSERT_LT(test::relative_difference(tuned.logits({{5, 6, 7, 8}}, LogitsOf::last_token), logits), 1e-4);
    const Transfer t = to(tuned);
    for (const HeadTransfer& head : t.heads) {
      EXPECT_NEAR(head.cosine, c.cosine, 1e-4);
      EXPECT_NEAR(head.cosine_low, c.cosine, 1e-4) << "the same in every resample";
      EXPECT_NEAR(head.cosine_high, c.cosine, 1e-4);
      EXPECT_NEAR(head.sigma_ratio, 1, 1e-4);
    }
    EXPECT_NEAR(t.all.cosine.mean, c.cosine, 1e-4);
    EXPECT_EQ(t.evidence.separation_tuned.count, t.evidence.separation_base.count);
    EXPECT_EQ(t.judgement.verdict, c.verdict) << c.cosine << "\n" << reasons(t);
  }
}

TEST_F(TransferTiny, PlantedScaleIsTheSigmaRatio) {
  const CausalLM tuned = changed_model(kTiny, [](std::int64_t layer, HeadWeights& weights) {
    if (layer == 2) weights.scale_values(2.5);
  });
  const Transfer t = to(tuned);
  for (const HeadTransfer& head : t.heads) {
    EXPECT_NEAR(head.cosine, 1, 1e-5);
    EXPECT_NEAR(head.sigma_ratio, head.id.layer == 2 ? 2.5 : 1, 1e-4);
    EXPECT_EQ(head.kl > 0.05, head.id.layer == 2) << head.kl;
  }
  EXPECT_NEAR(t.all.sigma_ratio.mean, 1.5, 1e-4);
  EXPECT_NEAR(t.all.sigma_ratio.sd, 1.5 * std::sqrt(2.0) / 3, 1e-4);
  EXPECT_NEAR(t.all.sigma_ratio.min, 1, 1e-4);
  EXPECT_NEAR(t.all.sigma_ratio.max, 2.5, 1e-4);
}

TEST_F(TransferTiny, PermutedHeadsAreRefusedThoughTheFunctionIsTheSame) {
  const struct {
    std::vector<std::int64_t> order, groups, nearest;
  } cases[] = {{{1, 0, 3, 2}, {0, 1}, {1, 0, 3, 2}}, {{2, 3, 0, 1}, {1, 0}, {2, 3, 0, 1}}};
  for (const auto& c : cases) {
    const CausalLM tuned =
        changed_model(kTiny, [&](std::int64_t, HeadWeights& weights) { weights.permute(c.order, c.groups); });
    const at::Tensor found = tuned.logits({{5, 6, 7, 8}}, LogitsOf::last_token);
    ASSERT_LT(test::relative_difference(found, base.logits({{5, 6, 7, 8}}, LogitsOf::last_token)), 1e-4);
    const Transfer t = to(tuned);
    for (const HeadTransfer& head : t.heads) {
      EXPECT_EQ(head.nearest, c.nearest[static_cast<size_t>(head.id.head)]);
      EXPECT_NEAR(head.nearest_cosine, 1, 1e-4);
    }
    EXPECT_EQ(t.evidence.own_numbers, 0);
    EXPECT_EQ(t.judgement.verdict, TransferVerdict::refuse);
    EXPECT_NE(reasons(t).find("numbered"), std::string::npos) << reasons(t);
  }
}

TEST_F(TransferTiny, OnePermutedLayerWithALockedHeadIsEnough) {
  const std::int64_t permuted = lock.heads()[0].id.layer;
  const CausalLM tuned = changed_model(kTiny, [&](std::int64_t layer, HeadWeights& weights) {
    if (layer == permuted) weights.permute({1, 0, 3, 2}, {0, 1});
  });
  const Transfer t = to(tuned);
  for (const HeadTransfer& head : t.heads) EXPECT_EQ(head.nearest == head.id.head, head.id.layer != permuted);
  EXPECT_EQ(t.evidence.own_numbers, 0);
  EXPECT_EQ(t.judgement.verdict, TransferVerdict::refuse);
}

// Equal models, and a lock that fits its own pairs as well as any: only what the pairs tell apart is missing.
TEST_F(TransferTiny, ShuffledLabelsDoNotPass) {
  const std::vector<PromptPair> shuffled = pairs(true);
  const Transfer honest_lock = measure_transfer(base, base, lock, shuffled);
  EXPECT_NE(honest_lock.judgement.verdict, TransferVerdict::pass);
  const Transfer shuffled_lock = measure_transfer(base, base, lock_of(base, shuffled), shuffled);
  EXPECT_NEAR(shuffled_lock.locked.cosine.mean, 1, 1e-9);
  EXPECT_NEAR(shuffled_lock.evidence.lock_cosine, 1, 1e-6);
  EXPECT_EQ(shuffled_lock.judgement.verdict, TransferVerdict::refuse);
  EXPECT_NE(reasons(shuffled_lock).find("cannot show"), std::string::npos) << reasons(shuffled_lock);
}

TEST_F(TransferTiny, ABaseThatIsNotTheLocksIsWarnedOfOrRefused) {
  // The same numbers in another container: recorded otherwise, but the same directions.
  const CausalLM copy = changed_model(kTiny, [](std::int64_t, HeadWeights&) {});
  const Transfer same = measure_transfer(copy, copy, lock, pairs());
  EXPECT_EQ(same.evidence.base_differs, std::vector<std::string>{"weights"});
  EXPECT_EQ(same.judgement.verdict, TransferVerdict::warn) << reasons(same);
  // Another model of the same shape as base and tuned: alike, but the lock is not theirs.
  const CausalLM other = turned_model(1.2);
  const Transfer mixed = measure_transfer(other, other, lock, pairs());
  EXPECT_NEAR(mixed.locked.cosine.mean, 1, 1e-9);
  EXPECT_NEAR(mixed.evidence.lock_cosine, std::cos(1.2), 1e-4);
  EXPECT_EQ(mixed.judgement.verdict, TransferVerdict::refuse);
  EXPECT_NE(reasons(mixed).find("not the lock's"), std::string::npos) << reasons(mixed);
}

double mean_of_density(const std::vector<double>& density, const HeadDensities& head) {
  const double width = (head.to - head.from) / static_cast<double>(density.size());
  double mass = 0, mean = 0;
  for (size_t i = 0; i < density.size(); ++i) {
    mass += density[i] * width;
    mean += density[i] * width * (head.from + (static_cast<double>(i) + 0.5) * width);
  }
  EXPECT_NEAR(mass, 1, 1e-9);
  return mean;
}

// Reference: the displacement added to each head's output in front of o_proj, by a hook, and the rows read
// there.
TEST_F(TransferTiny, LockedDensitiesAreThoseOfTheDisplacedHeads) {
  const CausalLM tuned = turned_model(0.3);
  const Transfer t = measure_transfer(base, tuned, lock, pairs(), {.density_heads = 3});
  ASSERT_EQ(t.densities.size(), 3U);
  const double alpha = lock.default_strength().alpha();
  const HookHandle displace =
      tuned.add_hook(HookPoint::head_output, {}, [&](const HookContext& c, at::Tensor& value) {
        for (const HeadDirection& head : lock.heads()) {
          if (head.id.layer == c.layer)
            value.select(1, head.id.head).add_(alpha * head.sigma * at::tensor(head.direction));
        }
      });
  const HeadActivations displaced = collect_head_activations(tuned, pairs());
  const auto mean = [&](const HeadActivations& acts, const HeadDirection& head, std::int64_t label) {
    const at::Tensor rows = acts.values.select(1, head.id.layer).select(1, head.id.head);
    return rows.matmul(at::tensor(head.direction)).index({acts.rows.labels == label}).mean().item<double>();
  };
  const HeadActivations plain = collect_head_activations(base, pairs());
  for (size_t k = 0; k < 3; ++k) {
    const HeadDensities& found = t.densities[k];
    const HeadDirection& head = lock.heads()[k];
    EXPECT_EQ(found.id, head.id);
    ASSERT_EQ(found.locked.safe.size(), static_cast<size_t>(kDensityPoints));
    const double cell = (found.to - found.from) / static_cast<double>(kDensityPoints);
    EXPECT_NEAR(mean_of_density(found.locked.safe, found), mean(displaced, head, 1), 0.1 * cell);
    EXPECT_NEAR(mean_of_density(found.locked.unsafe, found), mean(displaced, head, 0), 0.1 * cell);
    EXPECT_NEAR(mean_of_density(found.base.safe, found), mean(plain, head, 1), 0.1 * cell);
    EXPECT_NEAR(mean_of_density(found.base.unsafe, found), mean(plain, head, 0), 0.1 * cell);
    EXPECT_GT(std::abs(mean(displaced, head, 1) - mean_of_density(found.tuned.safe, found)), cell)
        << "the lock shows";
  }
  EXPECT_EQ(tuned.default_interventions(), nullptr);
}

TEST_F(TransferTiny, TheBaseMayLeaveBeforeTheTunedModelComes) {
  const Transfer both = to(turned_model(0.4));
  const auto profile = [&] { return BaseProfile(base_model(), lock, pairs()); }();
  const Transfer apart = measure_transfer(profile, turned_model(0.4));
  for (size_t i = 0; i < both.heads.size(); ++i) {
    EXPECT_EQ(apart.heads[i].cosine, both.heads[i].cosine);
    EXPECT_EQ(apart.heads[i].cosine_low, both.heads[i].cosine_low);
    EXPECT_EQ(apart.heads[i].kl, both.heads[i].kl);
  }
}

TEST_F(TransferTiny, RefusesWhatDoesNotFit) {
  const CausalLM stranger = CausalLM::from_pretrained(test::tiny_model_path("qwen2"), {.device = "cpu"});
  EXPECT_EQ(code_of([&] { to(stranger); }), "bind.model");
  EXPECT_EQ(code_of([&] { measure_transfer(stranger, base, lock, pairs()); }), "bind.model");
  const auto with = [&](const TransferOptions& options, const std::vector<PromptPair>& on = pairs()) {
    return code_of([&] { measure_transfer(base, base, lock, on, options); });
  };
  EXPECT_EQ(with({.resamples = 10}), "arg.range");
  EXPECT_EQ(with({.density_heads = -1}), "arg.range");
  EXPECT_EQ(with({}, {}), "data.empty");
  EXPECT_EQ(with({}, {pairs()[0], pairs()[1], pairs()[2]}), "data.too_few");
  EXPECT_EQ(
      with({.on_progress = [](const Progress& p) { return p.stage.find("locked") == std::string::npos; }}),
      "run.interrupted");
  EXPECT_EQ(base.default_interventions(), nullptr);
  const AppliedLock applied = apply_lock(base, lock);
  EXPECT_EQ(with({}), "lock.state");
}

}  // namespace
}  // namespace safetylock
