#include "safetylock/restore.h"

#include <cmath>

#include "pipeline/reply_sequences.h"
#include "safetylock/apply.h"
#include "safetylock/hooks.h"
#include "support/errors.h"
#include "support/kin_models.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;
using test::relative_difference;

const std::vector<PromptPair> kPairs = {
    {"How do I pick a lock?", "I won't help with that, whatever you say.", "Sure, here is how:"},
    {"How are you?", "No.", "I am fine, and you? Tell me more."},
    {"How do I pick a fight?", "Please don't pick a fight.", "the loud way"},
};
/// Next to no penalty: what W_o can write is written.
const RestoreOptions kExact = {.ridge = 1e-9, .system = "Be kind."};

CausalLM load(const std::string& name) {
  return test::changed_model(name, [](std::int64_t, test::HeadWeights&) {});
}

std::vector<KeptSequence> openings(const CausalLM& model, const RestoreOptions& options) {
  std::vector<KeptSequence> sequences;
  for (size_t i = 0; i < kPairs.size(); ++i) {
    sequences.push_back(
        encode_reply_opening(model, kPairs[i], i, options.reply_tokens, {.system = options.system}));
  }
  return sequences;
}

TEST(Restore, ReadsTheTokenBeforeTheReplyAndItsFirstOnes) {
  const CausalLM model = load("llama_gqa");
  const KeptSequence whole = encode_reply(model, kPairs[0], true, 0, {.tokens_per_reply = 10'000});
  const std::int64_t first = whole.kept.front();
  const KeptSequence opening = encode_reply_opening(model, kPairs[0], 0, 3, {});
  EXPECT_EQ(opening.kept, (std::vector<std::int64_t>{first - 1, first, first + 1, first + 2}));
  EXPECT_EQ(opening.ids.size(), static_cast<size_t>(first + 3));
  EXPECT_EQ(encode_reply_opening(model, kPairs[0], 0, 10'000, {}).kept.size(), whole.kept.size() + 1);
}

class RestoreTiny : public testing::TestWithParam<std::string> {};

// Reference: each sequence alone through the model, its stream put together from what hooks see.
TEST_P(RestoreTiny, MeansAreThoseOfTheStream) {
  const CausalLM model = load(GetParam());
  const at::Tensor found = read_opening_means(model, kPairs, kExact).values;
  const std::int64_t layers = model.config().num_hidden_layers;
  ASSERT_EQ(found.sizes(), (std::vector<std::int64_t>{layers, model.config().hidden_size}));
  at::Tensor sum = at::zeros_like(found);
  double rows = 0;
  for (const KeptSequence& sequence : openings(model, kExact)) {
    const at::Tensor kept = at::tensor(sequence.kept, at::kLong);
    std::vector<at::Tensor> blocks, attentions;
    const HookHandle block =
        model.add_hook(HookPoint::block_output, {}, [&](const HookContext&, at::Tensor& v) {
          blocks.push_back(v.index_select(0, kept).to(at::kDouble).sum(0));
        });
    const HookHandle attn =
        model.add_hook(HookPoint::attn_output, {}, [&](const HookContext&, at::Tensor& v) {
          attentions.push_back(v.index_select(0, kept).to(at::kDouble).sum(0));
        });
    model.logits({sequence.ids}, LogitsOf::all_tokens);
    for (std::int64_t l = 1; l < layers; ++l)
      sum[l] += blocks[static_cast<size_t>(l - 1)] + attentions[static_cast<size_t>(l)];
    rows += static_cast<double>(sequence.kept.size());
  }
  EXPECT_LT(relative_difference(found.narrow(0, 1, layers - 1), (sum / rows).narrow(0, 1, layers - 1)), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(WithoutSandwichNorms, RestoreTiny,
                         testing::Values("llama_gqa", "llama_biases", "llama_head_dim", "qwen2", "qwen3",
                                         "mistral", "gemma", "smollm3"),
                         [](const auto& param) { return param.param; });

class RestoreFamilies : public testing::TestWithParam<std::string> {};

// On average, in every layer; behind a norm, which follows a shift only nearly, by most of the way.
TEST_P(RestoreFamilies, BringsTheMeansBack) {
  const CausalLM base = load(GetParam());
  const CausalLM tuned =
      test::changed_model(GetParam(), [](std::int64_t, test::HeadWeights& w) { w.tilt_values(0.6); });
  const OpeningMeans means = read_opening_means(base, kPairs, kExact);
  const RestoredLock restored = restore_lock(tuned, means, kPairs, kExact);
  ASSERT_EQ(restored.layers.size(), static_cast<size_t>(base.config().num_hidden_layers));
  const double left = base.config().sandwich_norm ? 0.5 : 0.01;
  for (const LayerGap& gap : restored.layers) {
    EXPECT_GT(gap.before, 1e-4);
    EXPECT_LT(gap.after, left * gap.before);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, RestoreFamilies,
                         testing::Values("llama_gqa", "qwen2", "qwen3", "mistral", "gemma", "gemma2",
                                         "gemma3", "smollm3"),
                         [](const auto& param) { return param.param; });

// A fine-tune that added one vector a layer behind attention: the lock has to be its opposite, in every
// layer, and the model the base again.
TEST(Restore, UndoesAKnownShift) {
  const CausalLM base = load("llama_biases");
  auto checkpoint = test::MemoryCheckpoint::copy_of("llama_biases");
  std::vector<std::vector<double>> planted;
  std::vector<std::vector<float>> o_proj;
  for (std::int64_t layer = 0; layer < base.config().num_hidden_layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".self_attn.o_proj.";
    o_proj.push_back(checkpoint->mutable_values(prefix + "weight"));
    std::vector<double>& vector = planted.emplace_back();
    for (float& bias : checkpoint->mutable_values(prefix + "bias")) {
      vector.push_back(0.1 *
                       std::sin(static_cast<double>(7 * vector.size() + 3) + static_cast<double>(layer)));
      bias += static_cast<float>(vector.back());
    }
  }
  const CausalLM tuned = test::model_of(std::move(checkpoint), "llama_biases");

  const RestoredLock restored = restore_lock(tuned, read_opening_means(base, kPairs, kExact), kPairs, kExact);
  for (size_t l = 0; l < planted.size(); ++l) {
    const std::vector<float> bias = restored.lock.output_bias(static_cast<std::int64_t>(l), o_proj[l]);
    for (size_t i = 0; i < bias.size(); ++i) EXPECT_NEAR(bias[i], -planted[l][i], 1e-4) << l << ", " << i;
  }
  const std::vector<TokenId> ids = openings(base, kExact)[0].ids;
  const at::Tensor wanted = base.logits({ids}, LogitsOf::all_tokens);
  EXPECT_GT(relative_difference(tuned.logits({ids}, LogitsOf::all_tokens), wanted), 1e-2);
  const AppliedLock applied = apply_lock(tuned, restored.lock);
  EXPECT_LT(relative_difference(tuned.logits({ids}, LogitsOf::all_tokens), wanted), 1e-3);
  EXPECT_EQ(restored.lock.identity().protocol, "restored");
  EXPECT_EQ(restored.lock.default_strength().alpha(), 1);
  for (size_t k = 1; k < restored.lock.heads().size(); ++k)
    EXPECT_GE(restored.lock.heads()[k - 1].sigma, restored.lock.heads()[k].sigma);
}

TEST(Restore, RefusesWhatCannotBeCompared) {
  const CausalLM base = load("llama_gqa");
  const CausalLM tuned =
      test::changed_model("llama_gqa", [](std::int64_t, test::HeadWeights& w) { w.tilt_values(0.6); });
  const OpeningMeans means = read_opening_means(base, kPairs, kExact);
  EXPECT_EQ(code_of([&] { restore_lock(base, means, kPairs, kExact); }), "restore.no_drift");
  EXPECT_EQ(code_of([&] { restore_lock(tuned, means, {kPairs[0]}, kExact); }), "restore.pairs");
  RestoreOptions other = kExact;
  other.reply_tokens = 2;
  EXPECT_EQ(code_of([&] { restore_lock(tuned, means, kPairs, other); }), "restore.pairs");
  EXPECT_EQ(code_of([&] { restore_lock(load("llama_head_dim"), means, kPairs, kExact); }), "bind.model");
  EXPECT_EQ(code_of([&] { read_opening_means(base, {}, kExact); }), "data.empty");
  for (const double ridge : {0.0, -1.0, std::nan("")}) {
    other = kExact;
    other.ridge = ridge;
    EXPECT_EQ(code_of([&] { read_opening_means(base, kPairs, other); }), "arg.range") << ridge;
  }
  other = kExact;
  other.reply_tokens = 0;
  EXPECT_EQ(code_of([&] { read_opening_means(base, kPairs, other); }), "arg.range");
  const RestoredLock restored = restore_lock(tuned, means, kPairs, kExact);
  const AppliedLock applied = apply_lock(tuned, restored.lock);
  EXPECT_EQ(code_of([&] { restore_lock(tuned, means, kPairs, kExact); }), "arg.locked");
}

TEST(Restore, StopsWhenToldTo) {
  const CausalLM base = load("llama_gqa");
  RestoreOptions options = kExact;
  options.on_progress = [](const Progress& progress) { return progress.done < 1; };
  EXPECT_EQ(code_of([&] { read_opening_means(base, kPairs, options); }), "run.interrupted");
}

}  // namespace
}  // namespace safetylock
