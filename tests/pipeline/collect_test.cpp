#include <fstream>

#include "base/sha256.h"
#include "model/streamed_weights.h"
#include "pipeline/reply_sequences.h"
#include "safetylock/head_activations.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;
using test::Golden;
using test::relative_difference;

// As in scripts/make_golden_model.py.
const std::vector<PromptPair> kPairs = {
    {"How do I pick a lock?", "I won't help with that.", "Sure, here is how:"},
    {"How are you?", "No.", "I am fine, and you? Tell me more."},
    {"How do I pick a fight?", "Please don't.", "the loud way"},
};
const CollectOptions kOptions = {.tokens_per_reply = 5, .system = "Be kind."};

CausalLM load(const std::string& name) {
  return CausalLM::from_pretrained(test::tiny_model_path(name), {.device = "cpu", .dtype = "float32"});
}

class CollectTiny : public testing::TestWithParam<std::string> {};

// Reference: transformers, each sequence alone, through pre-hooks on every o_proj.
TEST_P(CollectTiny, RowsEqualTransformers) {
  const Golden golden(GetParam());
  const CausalLM model = load(GetParam());
  const HeadActivations found = collect_head_activations(model, kPairs, kOptions);
  EXPECT_TRUE(at::equal(found.rows.labels, at::tensor(golden.integers("collect.labels"), at::kLong)));
  EXPECT_TRUE(at::equal(found.rows.groups, at::tensor(golden.integers("collect.groups"), at::kLong)));
  EXPECT_TRUE(at::equal(found.rows.positions, at::tensor(golden.integers("collect.positions"), at::kLong)));
  const at::Tensor expected = golden.floats("collect.values");
  ASSERT_EQ(found.values.sizes(), expected.sizes());
  EXPECT_LT(relative_difference(found.values, expected), 1e-4);
  for (std::int64_t layer = 0; layer < model.config().num_hidden_layers; ++layer) {
    EXPECT_LT(relative_difference(found.values.select(1, layer), expected.select(1, layer)), 1e-4) << layer;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, CollectTiny, testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& param) { return param.param; });

TEST(Collect, KnowsWhereTheRowsComeFrom) {
  const CausalLM model = load("llama_head_dim");
  const LockIdentity id = collect_head_activations(model, kPairs, kOptions).provenance;
  EXPECT_EQ(id.architecture, "LlamaForCausalLM");
  EXPECT_EQ(id.num_hidden_layers, 2);
  EXPECT_EQ(id.num_attention_heads, 4);
  EXPECT_EQ(id.num_key_value_heads, 1);
  EXPECT_EQ(id.head_dim, 12);
  EXPECT_EQ(id.hidden_size, 32);
  EXPECT_EQ(id.base_model, "llama_head_dim");
  EXPECT_EQ(id.config_digest, sha256_hex(canonical_text(model.config())));
  EXPECT_EQ(id.tokenizer_digest, model.tokenizer().digest());
  EXPECT_EQ(id.template_digest, sha256_hex(model.chat_template().source()));
  EXPECT_EQ(id.weights_digest, Checkpoint::open(model.path())->weights_digest());
  EXPECT_EQ(id.pairs_digest, digest_of(kPairs));
  EXPECT_EQ(id.tokens_per_reply, 5);
  EXPECT_FALSE(id.library_version.empty());
}

TEST(Collect, ComputesSharedTokensOnceAndNothingAfterTheLastAttention) {
  const CausalLM model = load("llama_gqa");
  std::int64_t rows = 0, last_layer_rest = 0, other_layers_rest = 0, separate = 0;
  const HookHandle heads = model.add_hook(
      HookPoint::head_output, {2}, [&](const HookContext&, at::Tensor& value) { rows += value.size(0); });
  const HookHandle rest = model.add_hook(HookPoint::attn_output, {}, [&](const HookContext& c, at::Tensor&) {
    (c.layer == 2 ? last_layer_rest : other_layers_rest) += 1;
  });
  const HeadActivations found = collect_head_activations(model, kPairs, kOptions);
  EXPECT_EQ(last_layer_rest, 0);
  EXPECT_EQ(other_layers_rest, 2);
  EXPECT_EQ(found.tokens, rows);
  for (size_t i = 0; i < kPairs.size(); ++i) {
    for (const bool safe : {true, false}) {
      separate += static_cast<std::int64_t>(encode_reply(model, kPairs[i], safe, i, kOptions).ids.size());
    }
  }
  EXPECT_LT(found.tokens, separate * 2 / 3);
}

/// A model whose weights stay in its files.
CausalLM load_streamed(const std::string& name, std::uint64_t max_memory = 0) {
  const std::string path = test::tiny_model_path(name);
  const std::shared_ptr<const Checkpoint> files = Checkpoint::open(path);
  auto impl = std::make_unique<CausalLM::Impl>(
      Decoder(files->config(), std::make_shared<StreamedWeights>(files, at::kCPU, at::kFloat)), files);
  impl->tokenizer = Tokenizer::from_pretrained(path);
  impl->chat_template = ChatTemplate::from_pretrained(path);
  impl->streamed = true;
  impl->max_memory = max_memory;
  return CausalLM(std::move(impl));
}

/// Bytes that this process has read from files so far.
double bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string key;
  double bytes = 0;
  io >> key >> bytes;
  return bytes;
}

// Values, and the digest of the weights, from one read of every tensor. The embedding is so small here that
// the rows of the pairs' tokens, read by themselves, would count.
TEST(Collect, AStreamedModelIsReadOnce) {
  const HeadActivations expected = collect_head_activations(load("llama_gqa"), kPairs, kOptions);
  const CausalLM model = load_streamed("llama_gqa");
  double size = 0, embedding = 0;
  for (const CheckpointTensor& t : model.impl().checkpoint->tensors()) {
    ASSERT_EQ(t.storage, "F32");
    double bytes = 4;
    for (const std::uint64_t extent : t.shape) bytes *= static_cast<double>(extent);
    size += bytes;
    if (t.name == "model.embed_tokens.weight") embedding = bytes;
  }
  const double before = bytes_read();
  const HeadActivations found = collect_head_activations(model, kPairs, kOptions);
  const double read = bytes_read() - before;
  EXPECT_TRUE(at::equal(found.values, expected.values));
  EXPECT_EQ(found.provenance.weights_digest, expected.provenance.weights_digest);
  EXPECT_GE(read, size);
  EXPECT_LE(read, 1.02 * size + embedding);
}

TEST(Collect, MemoryThatIsNotEnoughIsRefusedBeforeThePass) {
  const auto error = test::error_of(
      [&] { collect_head_activations(load_streamed("llama_gqa", 1 << 20), kPairs, kOptions); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "limit.memory");
  EXPECT_NE(error->where.find("tokens"), std::string::npos) << error->where;
}

// In waves or all at once: the same rows, each pair whole, requests numbered through.
TEST(Collect, WavesGiveTheSameRows) {
  const CausalLM model = load("llama_gqa");
  std::vector<KeptSequence> sequences;
  for (size_t i = 0; i < kPairs.size(); ++i) {
    for (const bool safe : {true, false})
      sequences.push_back(encode_reply(model, kPairs[i], safe, i, kOptions));
  }
  const auto rows_of = [&](const std::vector<PrefixTree>& trees) {
    std::vector<at::Tensor> kept;
    for (const PrefixTree& tree : trees) {
      const Steering none;
      const DecoderPass pass(model.impl().decoder, tree.batch, none, {});
      const auto layers = model.impl().decoder.weights->read_layers();
      kept.push_back(pass.head_outputs(0, layers->next(), pass.embed()).index_select(0, tree.kept_rows));
    }
    return at::cat(kept);
  };
  const std::vector<PrefixTree> whole = build_prefix_trees(sequences, 2, 1 << 20);
  const std::vector<PrefixTree> single = build_prefix_trees(sequences, 2, 1);
  ASSERT_EQ(whole.size(), 1U);
  ASSERT_EQ(single.size(), kPairs.size());
  EXPECT_EQ(single.back().batch.requests.max().item<std::int64_t>(), 5);
  EXPECT_EQ(single.back().batch.requests.min().item<std::int64_t>(), 4);
  EXPECT_LT(relative_difference(rows_of(single), rows_of(whole)), 1e-5);
  const std::int64_t two = single[0].batch.rows() + single[1].batch.rows();
  EXPECT_EQ(build_prefix_trees(sequences, 2, two).size(), 2U);
}

TEST(Collect, VisitsEachLayerOnce) {
  const CausalLM model = load("llama_gqa");
  std::vector<std::int64_t> layers;
  const ActivationRows rows =
      for_each_layer(model, kPairs, kOptions, [&](std::int64_t layer, const at::Tensor& values) {
        layers.push_back(layer);
        EXPECT_EQ(values.sizes().slice(1), at::IntArrayRef({4, 8}));
      });
  EXPECT_EQ(layers, (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(rows.labels.sizes(), rows.positions.sizes());
}

// A safe reply that is the beginning of the unsafe one: its rows lie in the shared prefix.
TEST(Collect, OneReplyMayBeAPrefixOfTheOther) {
  const CausalLM model = load("llama_gqa");
  const std::vector<PromptPair> nested = {{"Well?", "No", "No way"}};
  const HeadActivations both = collect_head_activations(model, nested, kOptions);
  for (const bool safe : {true, false}) {
    const KeptSequence alone = encode_reply(model, nested[0], safe, 0, kOptions);
    std::vector<at::Tensor> seen;
    const HookHandle hook =
        model.add_hook(HookPoint::head_output, {},
                       [&](const HookContext&, at::Tensor& value) { seen.push_back(value.clone()); });
    model.logits({alone.ids}, LogitsOf::last_token);
    const at::Tensor expected = at::stack(seen, 1).index_select(0, at::tensor(alone.kept, at::kLong));
    const at::Tensor mine = both.values.index({both.rows.labels == (safe ? 1 : 0)});
    ASSERT_EQ(mine.sizes(), expected.sizes());
    EXPECT_LT(relative_difference(mine, expected), 1e-5);
  }
}

TEST(Collect, KeepsOnlyTokensOfTheReply) {
  const CausalLM model = load("llama_gqa");
  const KeptSequence short_reply =
      encode_reply(model, {"Hi?", "No", "Yes"}, true, 0, {.tokens_per_reply = 100});
  EXPECT_EQ(short_reply.kept.size(), model.tokenizer().encode("No").ids.size());
  EXPECT_EQ(short_reply.kept.back(), static_cast<std::int64_t>(short_reply.ids.size()) - 1)
      << "no end-of-turn tail";
}

TEST(Collect, D10_RefusesWhatItCannotUse) {
  const CausalLM model = load("llama_gqa");
  const auto code = [&](const std::vector<PromptPair>& pairs, const CollectOptions& options = {}) {
    return code_of([&] { collect_head_activations(model, pairs, options); });
  };
  EXPECT_EQ(code({}), "data.empty");
  EXPECT_EQ(code({{"q", std::string(400, 'x'), "y"}}), "data.too_long");
  EXPECT_EQ(code(kPairs, {.tokens_per_reply = 0}), "arg.range");
  const auto stop = [](const Progress& p) { return p.done < 1; };
  EXPECT_EQ(code(kPairs, {.on_progress = stop}), "run.interrupted");
}

TEST(Collect, D12_NonFiniteHeadOutputsNameTheirLayer) {
  const CausalLM model = load("llama_gqa");
  const HookHandle hook = model.add_hook(
      HookPoint::attn_output, {0},
      [](const HookContext&, at::Tensor& value) { value.fill_(std::numeric_limits<float>::quiet_NaN()); });
  const auto error = test::error_of([&] { collect_head_activations(model, kPairs); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "num.nonfinite");
  EXPECT_NE(error->where.find("layer 1"), std::string::npos) << error->where;
}

}  // namespace
}  // namespace safetylock
