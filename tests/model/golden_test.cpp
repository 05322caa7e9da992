// Logits and head outputs against transformers, on tiny random models of every supported kind.
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::Golden;
using test::relative_difference;
using test::slice;

constexpr double kTolerance = 1e-4;

class GoldenModel : public testing::TestWithParam<std::string> {
 protected:
  std::vector<std::vector<TokenId>> prompts() const {
    return {golden.integers("ids.0"), golden.integers("ids.1"), golden.integers("ids.2")};
  }
  at::Tensor all(const std::string& name) const {
    return at::cat({golden.floats(name + ".0"), golden.floats(name + ".1"), golden.floats(name + ".2")});
  }

  Golden golden{GetParam()};
  CausalLM model = test::load_bare(GetParam());
};

TEST_P(GoldenModel, LogitsOfOnePromptEqualTransformers) {
  for (int i = 0; i < 3; ++i) {
    const std::string n = std::to_string(i);
    const at::Tensor logits = model.logits({golden.integers("ids." + n)}, LogitsOf::all_tokens);
    EXPECT_LT(relative_difference(logits, golden.floats("logits." + n)), kTolerance);
  }
}

TEST_P(GoldenModel, UnequalPromptsInOneBatchEqualTransformers) {
  EXPECT_LT(relative_difference(model.logits(prompts(), LogitsOf::all_tokens), all("logits")), kTolerance);
}

TEST_P(GoldenModel, LastTokenLogitsAreThoseOfTheLastTokens) {
  const at::Tensor last = model.logits(prompts(), LogitsOf::last_token);
  ASSERT_EQ(last.sizes(), at::IntArrayRef({3, model.config().vocab_size}));
  for (int i = 0; i < 3; ++i) {
    EXPECT_LT(relative_difference(last[i], golden.floats("logits." + std::to_string(i))[-1]), kTolerance);
  }
}

TEST_P(GoldenModel, EveryHeadOutputEqualsWhatAHookOnOProjSees) {
  const ModelConfig& c = model.config();
  std::vector<at::Tensor> seen;
  const HookHandle handle =
      model.add_hook(HookPoint::head_output, {}, [&](const HookContext& context, at::Tensor& value) {
        EXPECT_EQ(context.layer, static_cast<std::int64_t>(seen.size()));
        EXPECT_EQ(value.sizes().slice(1), at::IntArrayRef({c.num_attention_heads, c.head_dim}));
        seen.push_back(value.clone());
      });
  model.logits(prompts(), LogitsOf::last_token);
  ASSERT_EQ(static_cast<std::int64_t>(seen.size()), c.num_hidden_layers);
  EXPECT_LT(relative_difference(at::stack(seen, 1), all("heads")), kTolerance);
}

// In Gemma 2 and 3 the lock is normalised together with what the heads say: it acts before that norm.
TEST_P(GoldenModel, AnAddedVectorDoesWhatItDoesInTransformers) {
  const at::Tensor o_proj = model.o_proj_weight(1);
  const Interventions lock{.biases = {{1, at::mv(o_proj, golden.floats("steered.displacement"))}},
                           .strengths = {Strength(1)}};
  const at::Tensor locked = model.logits({golden.integers("ids.1")}, LogitsOf::all_tokens, &lock);
  EXPECT_LT(relative_difference(locked, golden.floats("steered.logits")), kTolerance);
  EXPECT_GT(relative_difference(locked, golden.floats("logits.1")), 0.01);
}

/// The same tokens through a cache, a few at a time: [T, V].
at::Tensor cached_logits(const CausalLM& model, const std::vector<TokenId>& ids,
                         const std::vector<size_t>& pieces, std::int64_t slot) {
  const c10::InferenceMode inference;
  const Decoder& decoder = model.impl().decoder;
  KvCache cache(decoder.config, 2, decoder.options());
  std::vector<at::Tensor> hidden;
  size_t done = 0;
  for (const size_t piece : pieces) {
    BatchBuilder builder;
    builder.add(slice(ids, done, done + piece), static_cast<std::int64_t>(done), 0, {}, slot);
    const PackedBatch batch = builder.build();
    done += piece;
    cache.reserve(static_cast<std::int64_t>(done));
    hidden.push_back(DecoderPass(decoder, batch, Steering(), HookSnapshot(), &cache).run());
  }
  EXPECT_EQ(done, ids.size());
  EXPECT_EQ(cache.length(slot), static_cast<std::int64_t>(ids.size()));
  at::Tensor out = at::empty({static_cast<std::int64_t>(ids.size()), decoder.config.vocab_size}, at::kFloat);
  logits_into(decoder, at::cat(hidden), out);
  return out;
}

TEST_P(GoldenModel, CachedDecodingEqualsTransformers) {
  const std::vector<TokenId> ids = golden.integers("ids.1");
  const std::vector<size_t> one_by_one(ids.size(), 1);
  std::vector<size_t> prompt_then_tokens = {4, 3};
  prompt_then_tokens.resize(2 + ids.size() - 7, 1);
  for (const auto& pieces : {one_by_one, prompt_then_tokens}) {
    for (const std::int64_t slot : {0, 1}) {
      EXPECT_LT(relative_difference(cached_logits(model, ids, pieces, slot), golden.floats("logits.1")),
                kTolerance);
    }
  }
}

TEST_P(GoldenModel, SharedPrefixesEqualTransformers) {
  // A stem of 3 tokens, a middle of 2, and the rest; between them another tail of the stem that must not
  // disturb it.
  const std::vector<TokenId> ids = golden.integers("ids.1"), other = golden.integers("ids.2");
  BatchBuilder builder;
  const size_t stem = builder.add(slice(ids, 0, 3), 0, 0);
  builder.add(other, 3, 1, {stem});
  const size_t middle = builder.add(slice(ids, 3, 5), 3, 0, {stem});
  builder.add(slice(ids, 5, ids.size()), 5, 0, {stem, middle});
  const PackedBatch batch = builder.build();
  const c10::InferenceMode inference;
  const Decoder& decoder = model.impl().decoder;
  at::Tensor out = at::empty({batch.rows(), decoder.config.vocab_size}, at::kFloat);
  logits_into(decoder, DecoderPass(decoder, batch, Steering(), HookSnapshot()).run(), out);
  const auto skipped = static_cast<std::int64_t>(other.size());
  const at::Tensor mine =
      at::cat({out.narrow(0, 0, 3), out.narrow(0, 3 + skipped, out.size(0) - 3 - skipped)});
  EXPECT_LT(relative_difference(mine, golden.floats("logits.1")), kTolerance);
}

// Reference: transformers in float32. The tolerances are a few units of the dtype's 8 or 11 significant bits,
// summed over two or three layers.
TEST_P(GoldenModel, HalfPrecisionIsWithinItsRounding) {
  const CausalLM bfloat16 = test::load_bare(GetParam(), "bfloat16"),
                 float16 = test::load_bare(GetParam(), "float16");
  EXPECT_LT(relative_difference(bfloat16.logits(prompts(), LogitsOf::all_tokens), all("logits")), 0.06);
  EXPECT_LT(relative_difference(float16.logits(prompts(), LogitsOf::all_tokens), all("logits")), 0.008);
}

TEST_P(GoldenModel, RefusesSequencesOutOfRange) {
  const auto code = [&](std::vector<std::vector<TokenId>> sequences) {
    return test::code_of([&] { model.logits(sequences, LogitsOf::last_token); });
  };
  EXPECT_EQ(code({}), "arg.range");
  EXPECT_EQ(code({{1}, {}}), "arg.range");
  EXPECT_EQ(code({{-1}}), "arg.range");
  EXPECT_EQ(code({{model.config().vocab_size}}), "arg.range");
  EXPECT_EQ(code({std::vector<TokenId>(static_cast<size_t>(model.config().max_position_embeddings) + 1, 1)}),
            "arg.range");
}

INSTANTIATE_TEST_SUITE_P(Tiny, GoldenModel, testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace safetylock
