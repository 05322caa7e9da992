// A gate that reads replies, from end to end on a model whose harm head is known.
#include <gmock/gmock.h>

#include "pipeline/planted_gates.h"
#include "safetylock/apply.h"
#include "safetylock/evaluate.h"
#include "safetylock/sweep.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::both;
using test::code_of;
using test::gate_prompts;
using test::is_harmful;
using test::kBase;
using test::kBenign;
using test::kHarmful;
using test::kTuned;
using test::planted_lock;

const std::vector<std::string> kOpenings = {"Sure,\tgo.", "Yes"};
/// No score of a planted prompt reaches its log-odds once the gate's weights are a hundredth.
constexpr double kNever = 1 - 1e-15;

GateActivations reply_activations(const CausalLM& model, size_t count = 96) {
  return collect_gate_activations(model, gate_prompts(count, 5), {.openings = kOpenings});
}

/// The planted lock with a gate of prompts that says next to nothing, and one of replies.
SafetyLock lock_that_rereads() {
  const CausalLM base = kBase.build();
  Gate blind = *planted_lock().gate();
  for (GateHead& head : blind.heads)
    for (float& w : head.weights) w *= 0.01F;
  blind.bias = 0;
  blind.threshold = kNever;
  const DerivedGate replies = derive_gate(
      reply_activations(base), {.num_heads = {1}, .C = {10}, .positions = {{GatePosition::reply}}});
  return planted_lock().with_gate(blind, replies.gate);
}

// Row by row the mean of what a hook sees at the tokens of the opening.
TEST(PlantedReplyGate, CollectsTheMeansOverOpenings) {
  const CausalLM base = kBase.build();
  const GateActivations acts = reply_activations(base, 12);
  const std::vector<GatePrompt> prompts = gate_prompts(12, 5);
  ASSERT_EQ(acts.positions, std::vector<GatePosition>{GatePosition::reply});
  ASSERT_EQ(acts.values.sizes(), at::IntArrayRef({24, 1, 3, 4, 8}));
  for (std::int64_t row = 0; row < 24; ++row) {
    const GatePrompt& prompt = prompts[static_cast<size_t>(row / 2)];
    EXPECT_EQ(acts.labels[row].item<std::int64_t>(), prompt.harmful ? 1 : 0);
    EXPECT_EQ(acts.groups[row].item<std::int64_t>(), row / 12);  // six prompts a topic
    std::vector<TokenId> ids = generate(base, prompt.prompt, {.max_new_tokens = 1}).prompt_ids;
    const auto begin = static_cast<std::int64_t>(ids.size());
    const std::vector<TokenId> opening = base.tokenizer().encode(kOpenings[static_cast<size_t>(row % 2)]).ids;
    ids.insert(ids.end(), opening.begin(), opening.end());
    std::vector<at::Tensor> seen;
    const HookHandle hook = base.add_hook(
        HookPoint::head_output, {}, [&](const HookContext&, at::Tensor& z) { seen.push_back(z.clone()); });
    base.logits({ids}, LogitsOf::last_token);
    const at::Tensor heads = at::stack(seen, 1);  // [T, L, H, D]
    ASSERT_EQ(heads.size(0), static_cast<std::int64_t>(ids.size()));
    EXPECT_TRUE(at::allclose(acts.values[row][0], heads.slice(0, begin).mean(0), 1e-4, 1e-5)) << row;
  }
  GateActivations prompts_alone = collect_gate_activations(base, prompts);
  EXPECT_NE(acts.prompts_digest, prompts_alone.prompts_digest);
}

TEST(PlantedReplyGate, ReadsTheHarmHead) {
  const CausalLM base = kBase.build();
  const DerivedGate derived = derive_gate(
      reply_activations(base), {.num_heads = {1}, .C = {10}, .positions = {{GatePosition::reply}}});
  ASSERT_EQ(derived.gate.heads.size(), 1U);
  EXPECT_EQ(derived.gate.heads[0].id, kBase.harm_head);
  EXPECT_EQ(derived.gate.heads[0].position, GatePosition::reply);
  EXPECT_GT(derived.auc, 0.999);
  EXPECT_EQ(derived.gate.evidence.harmful, 96);  // prompts times openings
}

// The prompt's gate stays closed on all; the replies to harmful ones are taken back.
TEST(PlantedReplyGate, TakesBackTheRepliesToWhatIsHarmful) {
  const CausalLM tuned = kTuned.build();
  const SafetyLock lock = lock_that_rereads();
  for (const std::int64_t batch : {1, 2, 3, 16}) {
    const AppliedLock applied = apply_lock(tuned, lock, {.alpha = 20});
    for (const PromptResult& result : evaluate(tuned, both(), {.batch_size = batch}).results) {
      const bool harmful = is_harmful(result.prompt);
      EXPECT_EQ(result.outcome, harmful ? Outcome::refused : Outcome::answered) << result.prompt;
      EXPECT_EQ(result.gate->opened(), harmful);
      EXPECT_EQ(result.gate->reply_tokens > 0, harmful);
      EXPECT_TRUE(result.gate->reply_score);
    }
  }
  const AppliedLock applied = apply_lock(tuned, lock, {.alpha = 20, .reread = false});
  for (const PromptResult& result : evaluate(tuned, both()).results) {
    EXPECT_EQ(result.outcome, Outcome::answered);
    EXPECT_FALSE(result.gate->reply_score);
  }
}

TEST(PlantedReplyGate, ItsThresholdCanBeSet) {
  const CausalLM tuned = kTuned.build();
  const SafetyLock lock = lock_that_rereads();
  {
    const AppliedLock applied = apply_lock(tuned, lock, {.alpha = 20, .reread_threshold = 1e-15});
    EXPECT_EQ(evaluate(tuned, both()).opened.count, static_cast<std::int64_t>(both().size()));
  }
  const auto code = [&](const SafetyLock& one, double threshold) {
    return code_of(
        [&] { const AppliedLock applied = apply_lock(tuned, one, {.reread_threshold = threshold}); });
  };
  EXPECT_EQ(code(lock, 1), "arg.gate");
  EXPECT_EQ(code(planted_lock(), 0.5), "arg.gate");
}

TEST(PlantedReplyGate, TheSweepMixesWhatEvaluationFinds) {
  const CausalLM tuned = kTuned.build();
  const SafetyLock lock = lock_that_rereads();
  const SweepResult result =
      sweep(tuned, lock, kHarmful, kBenign, {.alphas = {20}, .num_heads = {1}, .thresholds = {kNever}});
  EXPECT_EQ(result.unlocked.harmful.answered.count, static_cast<std::int64_t>(kHarmful.size()));
  EXPECT_EQ(result.unlocked.harmful.opened.n, 0);
  ASSERT_EQ(result.cells.size(), 2U);
  EXPECT_EQ(result.cells[0].benign.refused.count, static_cast<std::int64_t>(kBenign.size()));
  EXPECT_EQ(result.cells[1].harmful.refused.count, static_cast<std::int64_t>(kHarmful.size()));
  EXPECT_EQ(result.cells[1].benign.answered.count, static_cast<std::int64_t>(kBenign.size()));
  const SafetyLock chosen = with_setting(lock, 1, 20, kNever);
  ASSERT_TRUE(chosen.reply_gate());
  EXPECT_FALSE(with_setting(lock, 1, 20).reply_gate());
  const AppliedLock applied = apply_lock(tuned, chosen);
  const Evaluation harmful = evaluate(tuned, kHarmful);
  for (size_t i = 0; i < kHarmful.size(); ++i)
    EXPECT_EQ(harmful.results[i].reply, result.cells[1].harmful.results[i].reply);
}

}  // namespace
}  // namespace safetylock
