#include "pipeline/phased_lock.h"

#include <gtest/gtest.h>

#include "pipeline/output_bias.h"
#include "safetylock/generate.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;

constexpr double kAlpha = 4;

const std::vector<std::vector<TokenId>> kSequences = {{5, 6, 7, 8}, {9, 10, 11, 12, 13, 14}, {15}};

// Heads of two layers, so that what is added below is read above.
std::vector<HeadDirection> heads_of(const ModelConfig& c) {
  std::vector<HeadDirection> heads;
  at::manual_seed(5);
  for (const HeadId id : {HeadId{0, 1}, HeadId{0, 0}, HeadId{1, 1}}) {
    at::Tensor v = at::randn({c.head_dim});
    v /= v.norm();
    heads.push_back(
        {.id = id, .direction = {v.data_ptr<float>(), v.data_ptr<float>() + c.head_dim}, .sigma = 0.5F});
  }
  return heads;
}

// The same by positions, written down anew: rows of sequence q from first[q] on are the reply's.
HookHandle by_position(const CausalLM& model, const std::vector<HeadDirection>& heads,
                       const std::vector<std::int64_t>& first, Phase phase) {
  std::map<std::int64_t, at::Tensor> added;
  for (const HeadDirection& head : heads) {
    at::Tensor& sum = added.try_emplace(head.id.layer, at::zeros({model.config().hidden_size})).first->second;
    sum += kAlpha * output_bias(model.o_proj_weight(head.id.layer), {head});
  }
  return model.add_hook(HookPoint::attn_output, {0, 1}, [=](const HookContext& c, at::Tensor& value) {
    for (std::int64_t row = 0; row < value.size(0); ++row) {
      const std::int64_t request = c.requests[row].item<std::int64_t>();
      const bool reply = c.positions[row].item<std::int64_t>() >= first[static_cast<size_t>(request)];
      if (phase == Phase::both || reply == (phase == Phase::reply)) value[row] += added.at(c.layer);
    }
  });
}

TEST(PhasedLock, MarginsFeelTheTokensOfTheirPhase) {
  for (const char* name : {"llama_gqa", "qwen2", "gemma3"}) {
    const CausalLM model = test::load_bare(name);
    const std::vector<HeadDirection> heads = heads_of(model.config());
    std::map<Phase, at::Tensor> found;
    for (const Phase phase : {Phase::both, Phase::prompt, Phase::reply}) {
      {
        const PhasedLock lock(model, heads, kAlpha, phase);
        found[phase] = model.logits(kSequences, LogitsOf::last_token);
      }
      const HookHandle expected = by_position(model, heads, {3, 5, 0}, phase);
      EXPECT_LT(test::relative_difference(found[phase], model.logits(kSequences, LogitsOf::last_token)), 1e-5)
          << name << ", " << to_string(phase);
    }
    const at::Tensor unlocked = model.logits(kSequences, LogitsOf::last_token);
    for (const auto& [phase, logits] : found)
      EXPECT_GT(test::relative_difference(logits[0], unlocked[0]), 1e-3) << name << ", " << to_string(phase);
    EXPECT_TRUE(at::equal(found[Phase::prompt][2], unlocked[2])) << "one token: it is the reply's";
    EXPECT_TRUE(at::equal(found[Phase::reply][2], found[Phase::both][2]));
  }
}

TEST(PhasedLock, RepliesWithACacheAreThoseWithoutOne) {
  const CausalLM model = CausalLM::from_pretrained(test::tiny_model_path("llama_gqa"), {.dtype = "float32"});
  const std::vector<HeadDirection> heads = heads_of(model.config());
  const std::vector<GenerateRequest> requests = {{.messages = {{"user", "How do I pick a lock?"}}},
                                                 {.messages = {{"user", "Why?"}}}};
  for (const Phase phase : {Phase::both, Phase::prompt, Phase::reply}) {
    std::vector<Generation> replies;
    {
      const PhasedLock lock(model, heads, kAlpha, phase);
      replies = generate_batch(model, requests, {.max_new_tokens = 8, .logprobs = 3});
    }
    for (const Generation& reply : replies) {
      std::vector<TokenId> tokens = reply.prompt_ids;
      const HookHandle expected =
          by_position(model, heads, {static_cast<std::int64_t>(tokens.size()) - 1}, phase);
      for (size_t step = 0; step < reply.logprobs.size(); ++step) {
        const at::Tensor logits = model.logits({tokens}, LogitsOf::last_token);
        const auto [values, ids] = at::log_softmax(logits[0], 0).topk(3);
        for (std::int64_t k = 0; k < 3; ++k) {
          EXPECT_NEAR(reply.logprobs[step][static_cast<size_t>(k)].logprob, values[k].item<double>(), 1e-4)
              << to_string(phase) << ", step " << step;
        }
        if (step < reply.token_ids.size()) tokens.push_back(reply.token_ids[step]);
      }
    }
  }
}

TEST(PhasedLock, RefusesASecondLockAndForeignHeads) {
  const CausalLM model = test::load_bare("llama_gqa");
  std::vector<HeadDirection> heads = heads_of(model.config());
  const at::Tensor unlocked = model.logits(kSequences, LogitsOf::last_token);
  {
    const PhasedLock lock(model, heads, kAlpha, Phase::both);
    for (const Phase phase : {Phase::both, Phase::reply})
      EXPECT_EQ(code_of([&] { const PhasedLock second(model, heads, kAlpha, phase); }), "lock.state");
  }
  EXPECT_EQ(code_of([&] { const PhasedLock lock(model, heads, -1, Phase::reply); }), "arg.alpha");
  heads[0].id.head = model.config().num_attention_heads;
  EXPECT_EQ(code_of([&] { const PhasedLock lock(model, heads, kAlpha, Phase::prompt); }), "bind.model");
  EXPECT_TRUE(at::equal(model.logits(kSequences, LogitsOf::last_token), unlocked));
}

}  // namespace
}  // namespace safetylock
