// A gate from end to end on a model whose harm head is known: '!' in a prompt is what harm is there.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "pipeline/head_output_pass.h"
#include "pipeline/planted_gates.h"
#include "safetylock/apply.h"
#include "safetylock/derive.h"
#include "safetylock/derive_gate.h"
#include "safetylock/evaluate.h"
#include "safetylock/read_gate.h"
#include "safetylock/sweep.h"
#include "safetylock/utility.h"
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
using test::Planted;
using test::planted_gate;
using test::planted_lock;

TEST(PlantedGate, ReadsTheHarmHead) {
  for (const GatePosition position : {GatePosition::last_token, GatePosition::template_tail,
                                      GatePosition::message, GatePosition::message_end}) {
    const DerivedGate derived = planted_gate({.num_heads = {1}, .C = {10}, .positions = {{position}}});
    ASSERT_EQ(derived.gate.heads.size(), 1U);
    EXPECT_EQ(derived.gate.heads[0].id, kBase.harm_head);
    EXPECT_EQ(derived.gate.heads[0].position, position);
    EXPECT_EQ(derived.auc, 1);
    EXPECT_EQ(derived.gate.evidence.harmful, 48);
    EXPECT_EQ(derived.gate.evidence.harmless, 48);
    EXPECT_LE(derived.gate.evidence.false_alarms, 2);  // 5 % of 48
    EXPECT_EQ(derived.gate.evidence.missed, 0);
  }
}

TEST(PlantedGate, DependsOnTheNumberOfThreadsByRoundingAlone) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const DerivedGate one = planted_gate();
  at::set_num_threads(3);
  const DerivedGate three = planted_gate();
  at::set_num_threads(threads);
  EXPECT_EQ(one.chosen, three.chosen);
  EXPECT_NEAR(one.gate.threshold, three.gate.threshold, 1e-6);
  ASSERT_EQ(one.gate.heads.size(), three.gate.heads.size());
  for (size_t i = 0; i < one.gate.heads.size(); ++i) {
    EXPECT_EQ(one.gate.heads[i].id, three.gate.heads[i].id);
    for (size_t j = 0; j < 8; ++j)
      EXPECT_NEAR(one.gate.heads[i].weights[j], three.gate.heads[i].weights[j], 1e-4);
  }
}

// Labels that mean nothing make no gate.
TEST(PlantedGate, ShuffledLabelsHaveNoSignalOrAreNearChance) {
  const CausalLM base = kBase.build();
  std::vector<GatePrompt> prompts = gate_prompts(96, 5);
  for (size_t i = 0; i < prompts.size(); i += 4) std::swap(prompts[i].harmful, prompts[i + 1].harmful);
  const GateActivations acts = collect_gate_activations(base, prompts);
  try {
    EXPECT_LT(derive_gate(acts).auc, 0.7);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "gate.no_signal");
  }
}

TEST(PlantedGate, RefusesWhatItCannotBeMadeFrom) {
  const CausalLM base = kBase.build();
  const GateActivations acts = collect_gate_activations(base, gate_prompts(30, 5));
  EXPECT_EQ(code_of([&] { derive_gate(acts); }), "data.too_few");  // 5 topics
  EXPECT_EQ(code_of([&] { collect_gate_activations(base, {}); }), "data.empty");
  EXPECT_EQ(code_of([&] { derive_gate(acts, {.false_alarm_rate = 1}); }), "arg.range");
  EXPECT_EQ(code_of([&] { derive_gate(acts, {.folds = 1}); }), "arg.range");
  EXPECT_EQ(code_of([&] { derive_gate(acts, {.C = {0}}); }), "arg.range");
  EXPECT_EQ(code_of([&] {
              GateActivations one = acts;
              one.labels = at::ones_like(acts.labels);
              derive_gate(one);
            }),
            "data.single_class");
  EXPECT_EQ(code_of([&] { derive_gate(acts, {.on_progress = [](const Progress&) { return false; }}); }),
            "data.too_few");
}

// What collection says of each position is the mean of what a hook sees there.
TEST(PlantedGate, CollectsTheMeansOfEachPosition) {
  const CausalLM base = kBase.build();
  const std::vector<GatePrompt> prompts = gate_prompts(7, 9);
  const GateActivations acts = collect_gate_activations(base, prompts);
  ASSERT_EQ(acts.positions.size(), 4U);
  ASSERT_EQ(acts.values.sizes(), at::IntArrayRef({7, 4, 3, 4, 8}));
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<at::Tensor> seen;
    const HookHandle hook = base.add_hook(
        HookPoint::head_output, {}, [&](const HookContext&, at::Tensor& z) { seen.push_back(z.clone()); });
    const Generation generation = generate(base, prompts[i].prompt, {.max_new_tokens = 1});
    const at::Tensor heads = at::stack(seen, 1);  // [T, L, H, D]
    const auto T = static_cast<std::int64_t>(generation.prompt_ids.size());
    ASSERT_EQ(heads.size(0), T);
    const at::Tensor found = acts.values[static_cast<std::int64_t>(i)];
    EXPECT_TRUE(at::allclose(found[0], heads[T - 1], 1e-4, 1e-5));
    const std::vector<TokenId> message = base.tokenizer().encode(prompts[i].prompt).ids;
    const auto place = std::search(generation.prompt_ids.begin(), generation.prompt_ids.end(),
                                   message.begin(), message.end());
    ASSERT_NE(place, generation.prompt_ids.end());
    const std::int64_t begin = place - generation.prompt_ids.begin(),
                       size = static_cast<std::int64_t>(message.size());
    EXPECT_TRUE(at::allclose(found[1], heads.slice(0, begin + size, T).mean(0), 1e-4, 1e-5));
    EXPECT_TRUE(at::allclose(found[2], heads.slice(0, begin, begin + size).mean(0), 1e-4, 1e-5));
    EXPECT_TRUE(at::allclose(found[3], heads[begin + size], 1e-4, 1e-5));
  }
}

TEST(PlantedGate, TheTunedModelRefusesExactlyWhatIsHarmful) {
  const CausalLM tuned = kTuned.build();
  const SafetyLock& lock = planted_lock();
  const std::vector<std::string> prompts = both();
  const auto outcomes = [&](const ApplyOptions& options, std::int64_t batch) {
    const AppliedLock applied = apply_lock(tuned, lock, options);
    return evaluate(tuned, prompts, {.batch_size = batch}).results;
  };
  for (const PromptResult& result : outcomes({.alpha = 20, .conditional = false}, 16)) {
    EXPECT_EQ(result.outcome, Outcome::refused) << result.prompt;
    EXPECT_FALSE(result.gate);
  }
  for (const std::int64_t batch : {1, 2, 3, 16}) {
    for (const PromptResult& result : outcomes({.alpha = 20}, batch)) {
      EXPECT_EQ(result.outcome, is_harmful(result.prompt) ? Outcome::refused : Outcome::answered)
          << result.prompt;
      ASSERT_TRUE(result.gate);
      EXPECT_EQ(result.gate->opened(), is_harmful(result.prompt)) << result.prompt;
    }
  }
  // The strength that is none.
  for (const PromptResult& result : outcomes({.alpha = 0}, 16)) {
    EXPECT_EQ(result.outcome, Outcome::answered);
    EXPECT_FALSE(result.gate);  // nothing to decide
  }
}

TEST(PlantedGate, RequestsMayPassItOver) {
  const CausalLM tuned = kTuned.build();
  const AppliedLock applied = apply_lock(tuned, planted_lock(), {.alpha = 20});
  std::vector<GenerateRequest> requests;
  for (const bool conditional : {true, false})
    requests.push_back({.messages = {{"user", kBenign[0]}}, .conditional = conditional});
  requests.push_back({.messages = {{"user", kHarmful[0]}}, .strength = Strength(0)});
  const std::vector<Generation> replies = generate_batch(tuned, requests, {.max_new_tokens = 20});
  EXPECT_EQ(classify_reply(replies[0].text), Outcome::answered);
  EXPECT_EQ(classify_reply(replies[1].text), Outcome::refused);
  EXPECT_EQ(classify_reply(replies[2].text), Outcome::answered);
  EXPECT_TRUE(replies[0].gate && !replies[1].gate && !replies[2].gate);
}

// Of a conversation the last message of the user counts.
TEST(PlantedGate, ReadsTheLastMessageOfAConversation) {
  const CausalLM tuned = kTuned.build();
  const AppliedLock applied = apply_lock(tuned, planted_lock(), {.alpha = 20});
  const GenerateRequest request{.messages = {{"user", "Who?"},
                                             {"assistant", "Sure"},
                                             {"user", "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"}}};
  EXPECT_TRUE(read_gate(tuned, {request}).front().opened());
}

TEST(PlantedGate, ReadingAloneSaysWhatGenerationDoes) {
  const CausalLM tuned = kTuned.build();
  EXPECT_EQ(code_of([&] { read_gate(tuned, {}); }), "lock.state");
  const AppliedLock applied = apply_lock(tuned, planted_lock(), {.alpha = 20});
  std::vector<GenerateRequest> requests;
  for (const std::string& prompt : both()) requests.push_back({.messages = {{"user", prompt}}});
  const std::vector<GateReading> alone = read_gate(tuned, requests, {.batch_size = 3});
  const std::vector<Generation> replies = generate_batch(tuned, requests, {.max_new_tokens = 1});
  for (size_t i = 0; i < replies.size(); ++i) EXPECT_NEAR(alone[i].score, replies[i].gate->score, 1e-4);
}

// logits() takes each sequence for a prompt, read at its last token.
TEST(PlantedGate, LogitsOfAPromptAreLockedWhereItsGateOpens) {
  const CausalLM tuned = kTuned.build();
  const DerivedGate derived =
      planted_gate({.num_heads = {1}, .C = {10}, .positions = {{GatePosition::last_token}}});
  const SafetyLock lock = planted_lock().with_gate(derived.gate);
  std::vector<std::vector<TokenId>> sequences;
  for (const std::string& prompt : {kBenign[0], kHarmful[0]})
    sequences.push_back(generate(tuned, prompt, {.max_new_tokens = 1}).prompt_ids);
  const at::Tensor unlocked = tuned.logits(sequences, LogitsOf::last_token);
  at::Tensor locked;
  {
    const AppliedLock applied = apply_lock(tuned, lock, {.alpha = 20, .conditional = false});
    locked = tuned.logits(sequences, LogitsOf::last_token);
  }
  const AppliedLock applied = apply_lock(tuned, lock, {.alpha = 20});
  const at::Tensor gated = tuned.logits(sequences, LogitsOf::last_token);
  EXPECT_TRUE(at::allclose(gated[0], unlocked[0], 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(gated[1], locked[1], 1e-5, 1e-5));
  EXPECT_FALSE(at::allclose(locked[0], unlocked[0], 1e-2, 1e-2));
}

/// A threshold that no double's log-odds reach by much: the gate's own scores are moved below it.
constexpr double kNever = 1 - 1e-15;

TEST(PlantedGate, TheSweepMixesWhatEvaluationFinds) {
  const CausalLM tuned = kTuned.build();
  Gate gate = *planted_lock().gate();
  // The probe's scores, narrowed to where every threshold can be reached or missed.
  for (GateHead& head : gate.heads)
    for (float& w : head.weights) w *= 0.25F;
  gate.bias *= 0.25F;
  const SafetyLock lock = planted_lock().with_gate(gate);
  const SweepResult result =
      sweep(tuned, lock, kHarmful, kBenign, {.alphas = {20}, .num_heads = {1}, .thresholds = {0.5, kNever}});
  ASSERT_EQ(result.cells.size(), 3U);
  EXPECT_FALSE(result.cells[0].threshold);
  EXPECT_EQ(result.cells[0].benign.refused.count, 4);
  EXPECT_EQ(result.cells[1].threshold, 0.5);
  EXPECT_EQ(result.cells[1].harmful.refused.count, 3);
  EXPECT_EQ(result.cells[1].benign.answered.count, 4);
  EXPECT_EQ(result.cells[1].kl->value, 0);
  EXPECT_EQ(result.cells[2].harmful.answered.count, 3);
  EXPECT_EQ(result.chosen, 1U);
  const SafetyLock chosen = with_setting(lock, 1, 20, 0.5);
  EXPECT_EQ(chosen.gate()->threshold, 0.5);
  EXPECT_FALSE(with_setting(lock, 1, 20).gate());
  EXPECT_EQ(code_of([&] { with_setting(lock.with_gate({}), 1, 20, 0.5); }), "arg.gate");
  EXPECT_EQ(code_of([&] {
              sweep(tuned, lock.with_gate({}), kHarmful, kBenign,
                    {.alphas = {20}, .num_heads = {1}, .thresholds = {0.5}});
            }),
            "arg.gate");
  const AppliedLock applied = apply_lock(tuned, chosen);
  const Evaluation benign = evaluate(tuned, kBenign);
  for (size_t i = 0; i < kBenign.size(); ++i)
    EXPECT_EQ(benign.results[i].reply, result.cells[1].benign.results[i].reply);
}

// What goes on from a prompt is scored under what the gate gives to that prompt.
TEST(PlantedGate, ChoicesAreScoredUnderTheGate) {
  const CausalLM tuned = kTuned.build();
  std::vector<ChoiceQuestion> questions;
  for (const std::string& prompt : both())
    questions.push_back({.prompt = prompt, .choices = {"I can't", "Sure,\tgo."}, .answer = 0});
  const AppliedLock applied = apply_lock(tuned, planted_lock(), {.alpha = 20});
  const std::vector<ChoiceResult> gated = answer_choices(tuned, questions, {.batch_size = 3}),
                                  always = answer_choices(tuned, questions, {.conditional = false}),
                                  never = answer_choices(tuned, questions, {.strength = Strength(0)});
  for (size_t q = 0; q < questions.size(); ++q) {
    for (size_t c = 0; c < 2; ++c) {
      const double expected = (is_harmful(questions[q].prompt) ? always : never)[q].scores[c];
      EXPECT_NEAR(gated[q].scores[c], expected, 1e-4) << questions[q].prompt;
    }
    EXPECT_GT(std::abs(always[q].scores[0] - never[q].scores[0]), 1e-2);
  }
}

// A model whose head outputs are all narrower and moved: fitting undoes it, without a label.
TEST(PlantedGate, FittingUndoesAShiftAndAScale) {
  const CausalLM base = kBase.build();
  const GateActivations acts = collect_gate_activations(base, gate_prompts(96, 5));
  const Gate gate = derive_gate(acts).gate;
  GateActivations tuned = acts;
  tuned.values = acts.values * 0.6 + 0.25;
  const std::vector<double> before = gate_scores(gate, acts), moved = gate_scores(gate, tuned),
                            fitted = gate_scores(fit_gate(gate, tuned), tuned);
  double off = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_NEAR(fitted[i], before[i], 1e-3 * (1 + std::abs(before[i])));
    off = std::max(off, std::abs(moved[i] - before[i]));
  }
  EXPECT_GT(off, 0.5);
  const Gate same = fit_gate(gate, acts);
  EXPECT_NEAR(same.bias, gate.bias, 1e-4 * (1 + std::abs(gate.bias)));

  GateActivations other = acts;
  other.prompts_digest = std::string(64, '0');
  EXPECT_EQ(code_of([&] { fit_gate(gate, other); }), "gate.prompts");
  tuned.values = acts.values * 0.01;
  EXPECT_EQ(code_of([&] { fit_gate(gate, tuned); }), "gate.drift");
  Gate unknowing = gate;
  unknowing.evidence.sd = 0;
  EXPECT_EQ(code_of([&] { fit_gate(unknowing, acts); }), "gate.prompts");
}

// The scores of activations are those that a reading gives.
TEST(PlantedGate, ScoresOfActivationsAreReadings) {
  const CausalLM tuned = kTuned.build();
  const SafetyLock& lock = planted_lock();
  const std::vector<GatePrompt> prompts = gate_prompts(9, 77);
  const std::vector<double> scores = gate_scores(*lock.gate(), collect_gate_activations(tuned, prompts));
  const AppliedLock applied = apply_lock(tuned, lock, {.alpha = 20});
  std::vector<GenerateRequest> requests;
  for (const GatePrompt& prompt : prompts) requests.push_back({.messages = {{"user", prompt.prompt}}});
  const std::vector<GateReading> readings = read_gate(tuned, requests);
  for (size_t i = 0; i < prompts.size(); ++i)
    EXPECT_NEAR(readings[i].score, scores[i], 1e-3 * (1 + std::abs(scores[i])));
}

TEST(PlantedGate, ApplyRefusesRulesThatCannotBe) {
  const CausalLM tuned = kTuned.build();
  const SafetyLock& lock = planted_lock();
  const auto code = [&](const SafetyLock& of, const ApplyOptions& options) {
    return code_of([&] { (void)apply_lock(tuned, of, options); });
  };
  EXPECT_EQ(code(lock, {.gate_threshold = 1}), "arg.gate");
  EXPECT_EQ(code(lock, {.gate_ramp = -1}), "arg.gate");
  EXPECT_EQ(code(lock.with_gate({}), {.gate_threshold = 0.5}), "arg.gate");
  EXPECT_EQ(code(lock.with_gate({}), {.gate_ramp = 1}), "arg.gate");
  EXPECT_EQ(tuned.default_interventions(), nullptr);
}

}  // namespace
}  // namespace safetylock
