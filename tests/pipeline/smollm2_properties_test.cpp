// The properties of the method on SmolLM2-135M whole, in float32: what a tiny random model cannot show is
// shown here.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "model/decoder.h"
#include "pipeline/reply_sequences.h"
#include "safetylock/apply.h"
#include "safetylock/derive.h"
#include "safetylock/generate.h"
#include "safetylock/head_activations.h"
#include "safetylock/probes.h"
#include "support/models.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::relative_difference;
using test::slice;

constexpr double kTolerance = 1e-4;
constexpr std::int64_t kLockedHeads = 24;

std::vector<PromptPair> first_pairs(size_t count) {
  std::vector<PromptPair> pairs = load_prompt_pairs(std::string(SAFETYLOCK_SOURCE_DIR) + "/data/pairs.jsonl");
  pairs.resize(count);
  return pairs;
}

class SmolLM2 : public testing::Test {
 protected:
  SafetyLock derive(std::int64_t num_heads = kLockedHeads) const {
    const HeadActivations acts = collect_head_activations(model, first_pairs(24));
    return derive_lock(acts, rank_heads(acts, {.seed = 1, .repeats = 2}),
                       {.num_heads = num_heads, .seed = 1});
  }
  std::vector<TokenId> ids_of(const std::string& prompt) const {
    return model.tokenizer().encode(model.chat_template().render({{"user", prompt}})).ids;
  }
  at::Tensor logits(const Interventions* interventions = nullptr) const {
    return model.logits(prompts, LogitsOf::all_tokens, interventions);
  }

  CausalLM model = CausalLM::from_pretrained(test::smollm2_path(), {.device = "cpu", .dtype = "float32"});
  std::vector<std::vector<TokenId>> prompts = {ids_of("What is the capital of France?"), ids_of("Hi!"),
                                               ids_of("Name a bird that cannot fly, and say why it cannot.")};
};

// A direction planted in one head of the model itself, by a hook: it comes first and comes back.
TEST_F(SmolLM2, PlantedDirectionIsRankedFirstAndRecovered) {
  const HeadId planted{11, 4};
  at::manual_seed(11);
  at::Tensor direction = at::randn({model.config().head_dim});
  direction /= direction.norm();
  const HookHandle plant = model.add_hook(
      HookPoint::head_output, {planted.layer}, [&](const HookContext& context, at::Tensor& value) {
        // Requests of a collection are replies: the safe one of each pair first.
        const at::Tensor sign = 1 - 2 * context.requests.remainder(2).to(at::kFloat);
        value.select(1, planted.head).add_(20 * at::outer(sign, direction));
      });
  const HeadActivations acts = collect_head_activations(model, first_pairs(16));
  const std::vector<HeadScore> ranking = rank_heads(acts, {.repeats = 1});
  EXPECT_EQ(ranking.front().id, planted);
  EXPECT_EQ(ranking.front().accuracy, 1.0);
  const SafetyLock lock = derive_lock(acts, ranking, {.num_heads = 1});
  const double cosine = at::tensor(lock.heads()[0].direction).dot(direction).item<double>();
  std::printf("planted head: cosine %.5f\n", cosine);
  EXPECT_GT(cosine, 0.99);
}

TEST_F(SmolLM2, LocksAreByteEqualAndTheSameAcrossThreadCounts) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const SafetyLock two = derive();
  EXPECT_EQ(derive().to_bytes(), two.to_bytes());
  at::set_num_threads(1);
  const SafetyLock one = derive();
  at::set_num_threads(before);
  double smallest = 1;
  ASSERT_EQ(one.heads().size(), two.heads().size());
  for (size_t k = 0; k < one.heads().size(); ++k) {
    EXPECT_EQ(one.heads()[k].id, two.heads()[k].id) << k;
    smallest = std::min(
        smallest,
        at::tensor(one.heads()[k].direction).dot(at::tensor(two.heads()[k].direction)).item<double>());
  }
  std::printf("one thread against two: smallest cosine %.8f\n", smallest);
  EXPECT_GE(smallest, 0.99999);
}

TEST_F(SmolLM2, LockLeavesEarlierLayersAndTheUnlockedModelBitEqual) {
  const SafetyLock lock = derive();
  const at::Tensor unlocked = logits();
  std::vector<at::Tensor> blocks;
  const auto run = [&] {
    blocks.clear();
    const HookHandle reader =
        model.add_hook(HookPoint::block_output, {},
                       [&](const HookContext&, at::Tensor& value) { blocks.push_back(value.clone()); });
    logits();
    return blocks;
  };
  const std::vector<at::Tensor> before = run();
  {
    const AppliedLock applied = apply_lock(model, lock);
    const std::vector<at::Tensor> after = run();
    const std::int64_t first = lock.layers().front();
    for (std::int64_t layer = 0; layer < model.config().num_hidden_layers; ++layer) {
      const auto l = static_cast<size_t>(layer);
      EXPECT_EQ(at::equal(after[l], before[l]), layer < first) << "layer " << layer;
    }
  }
  EXPECT_TRUE(at::equal(logits(), unlocked)) << "a destroyed lock left something behind";
  const AppliedLock off = apply_lock(model, lock, {.alpha = 0.0});
  EXPECT_TRUE(at::equal(logits(), unlocked)) << "alpha 0 is unlocked";
}

TEST_F(SmolLM2, HookBiasAndBakedPathsAgree) {
  const SafetyLock lock = derive();
  const double alpha = lock.default_strength().alpha();
  const at::Tensor unlocked = logits();
  at::Tensor hooked, added;
  {
    const HookHandle hook = model.add_hook(
        HookPoint::head_output, lock.layers(), [&](const HookContext& context, at::Tensor& value) {
          value.add_(alpha * at::tensor(lock.displacement(context.layer)).view(value.sizes().slice(1)));
        });
    hooked = logits();
  }
  {
    const AppliedLock applied = apply_lock(model, lock);
    added = logits();
  }
  auto baked = test::MemoryCheckpoint::copy_of(*Checkpoint::open(test::smollm2_path()));
  baked->mutable_config().attention_out_bias = true;
  const auto width = static_cast<std::uint64_t>(model.config().hidden_size);
  for (std::int64_t layer = 0; layer < model.config().num_hidden_layers; ++layer) {
    const at::Tensor w = model.o_proj_weight(layer).contiguous();
    std::vector<float> bias =
        lock.output_bias(layer, {w.const_data_ptr<float>(), static_cast<size_t>(w.numel())});
    for (float& b : bias) b = static_cast<float>(alpha * static_cast<double>(b));
    baked->set("model.layers." + std::to_string(layer) + ".self_attn.o_proj.bias", {width}, std::move(bias));
  }
  const at::Tensor served = test::load_bare(std::move(baked)).logits(prompts, LogitsOf::all_tokens);
  const double by_hook = relative_difference(hooked, added), by_baking = relative_difference(served, added);
  std::printf("the lock moves logits by %.2g of the largest; hook path differs by %.2g, baked path by %.2g\n",
              relative_difference(added, unlocked), by_hook, by_baking);
  EXPECT_GT(relative_difference(added, unlocked), 0.05) << "a lock too weak to test with";
  EXPECT_LT(by_hook, kTolerance);
  EXPECT_LT(by_baking, kTolerance);
}

TEST_F(SmolLM2, BatchSingleAndCachedDecodingAgree) {
  const AppliedLock applied = apply_lock(model, derive());
  const Decoder& decoder = model.impl().decoder;
  const at::Tensor together = logits();
  std::int64_t first = 0;
  for (const std::vector<TokenId>& ids : prompts) {
    const auto count = static_cast<std::int64_t>(ids.size());
    const at::Tensor mine = together.narrow(0, first, count);
    first += count;
    EXPECT_LT(relative_difference(model.logits({ids}, LogitsOf::all_tokens), mine), kTolerance);

    const c10::InferenceMode inference;
    KvCache cache(decoder.config, 1, decoder.options());
    std::vector<at::Tensor> hidden;
    for (std::int64_t t = 0; t < count; ++t) {
      BatchBuilder builder;
      builder.add({ids[static_cast<size_t>(t)]}, t, 0, {}, 0);
      const PackedBatch batch = builder.build();
      cache.reserve(t + 1);
      const Steering steering(applied.interventions(), batch.requests, 1, model.dtype());
      hidden.push_back(DecoderPass(decoder, batch, steering, HookSnapshot(), &cache).run());
    }
    at::Tensor cached = at::empty_like(mine);
    logits_into(decoder, at::cat(hidden), cached);
    EXPECT_LT(relative_difference(cached, mine), kTolerance);
  }
  // Greedy replies do not depend on the company a prompt is in.
  std::vector<GenerateRequest> requests;
  for (const char* prompt : {"What is the capital of France?", "Hi!", "List three prime numbers."})
    requests.push_back({.messages = {{"user", prompt}}});
  const std::vector<Generation> batched = generate_batch(model, requests, {.max_new_tokens = 24});
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(generate_batch(model, {requests[i]}, {.max_new_tokens = 24}).front().token_ids,
              batched[i].token_ids);
  }
}

TEST_F(SmolLM2, SharedPrefixesChangeNoRow) {
  const std::vector<PromptPair> pairs = first_pairs(6);
  const HeadActivations acts = collect_head_activations(model, pairs);
  std::int64_t first = 0;
  double largest = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    for (const bool safe : {true, false}) {
      const KeptSequence reply = encode_reply(model, pairs[i], safe, i, {});
      std::vector<at::Tensor> heads;
      const HookHandle reader =
          model.add_hook(HookPoint::head_output, {},
                         [&](const HookContext&, at::Tensor& value) { heads.push_back(value.clone()); });
      model.logits({reply.ids}, LogitsOf::last_token);
      const auto kept = static_cast<std::int64_t>(reply.kept.size());
      const at::Tensor alone = at::stack(heads, 1).index_select(0, at::tensor(reply.kept));
      largest = std::max(largest, relative_difference(acts.values.narrow(0, first, kept), alone));
      first += kept;
    }
  }
  EXPECT_EQ(first, acts.values.size(0));
  std::printf("head outputs with shared prefixes differ by at most %.2g\n", largest);
  EXPECT_LT(largest, kTolerance);
}

}  // namespace
}  // namespace safetylock
