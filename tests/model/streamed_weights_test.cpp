#include "model/streamed_weights.h"

#include <filesystem>
#include <fstream>

#include "model/adapted_checkpoint.h"
#include "model/memory_check.h"
#include "model/weights.h"
#include "support/gguf_builder.h"
#include "support/hf_folder.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;

std::shared_ptr<const Checkpoint> open(const std::string& path) {
  return Checkpoint::open(path);
}

/// Bytes that this process has read from files so far.
std::int64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string key;
  std::int64_t bytes = 0;
  io >> key >> bytes;
  return bytes;
}

std::int64_t stored_bytes(const Checkpoint& checkpoint) {
  std::int64_t sum = 0;
  for (const CheckpointTensor& t : checkpoint.tensors()) {
    std::int64_t bytes = t.storage == "F32" ? 4 : 2;
    for (const std::uint64_t extent : t.shape) bytes *= static_cast<std::int64_t>(extent);
    sum += bytes;
  }
  return sum;
}

/// A model whose weights stay in its files.
CausalLM streamed(const std::shared_ptr<const Checkpoint>& checkpoint, at::ScalarType dtype = at::kFloat) {
  auto weights = std::make_shared<StreamedWeights>(checkpoint, at::kCPU, dtype);
  return CausalLM(
      std::make_unique<CausalLM::Impl>(Decoder(checkpoint->config(), std::move(weights)), checkpoint));
}

class StreamedModel : public testing::TestWithParam<std::string> {};

// The same kernels see the same values: not a bit may differ.
TEST_P(StreamedModel, ComputesWhatTheHeldOneComputes) {
  const std::string path = test::tiny_model_path(GetParam());
  for (const char* dtype : {"float32", "bfloat16"}) {
    const CausalLM held = test::load_bare(GetParam(), dtype);
    const CausalLM model = streamed(open(path), held.dtype());
    const std::vector<std::vector<TokenId>> ids = {{1, 2, 3, 2}, {5}};
    EXPECT_TRUE(at::equal(model.logits(ids, LogitsOf::all_tokens), held.logits(ids, LogitsOf::all_tokens)));
    EXPECT_TRUE(at::equal(model.o_proj_weight(1), held.o_proj_weight(1)));
    EXPECT_EQ(model.weight_bytes(), held.weight_bytes());
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, StreamedModel, testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& param) { return param.param; });

// GGUF: rows of q and k in another order, types of both widths, tied and not.
TEST(StreamedWeights, FromGguf) {
  for (const char* arch : {"llama", "qwen2"}) {
    const test::TemporaryFolder folder;
    const std::string path = folder.write("m.gguf", test::tiny_gguf(arch).build());
    const CausalLM held = test::load_bare(Checkpoint::open(path));
    const std::shared_ptr<const Checkpoint> files = open(path);
    const CausalLM model = streamed(files);
    const std::vector<std::vector<TokenId>> ids = {{1, 2, 3}};
    EXPECT_TRUE(at::equal(model.logits(ids, LogitsOf::all_tokens), held.logits(ids, LogitsOf::all_tokens)));
    const TensorDigests seen = model.impl().decoder.weights->digests();
    EXPECT_EQ(seen.size(), files->tensors().size() - (files->find("lm_head.weight") == nullptr ? 2 : 3));
    EXPECT_EQ(files->weights_digest(seen), files->weights_digest()) << arch;
  }
}

TEST(StreamedWeights, DigestsComeFromTheSameRead) {
  const std::shared_ptr<const Checkpoint> files = open(test::tiny_model_path("llama_gqa"));
  const std::string digest = files->weights_digest();
  const CausalLM model = streamed(files);
  EXPECT_TRUE(model.impl().decoder.weights->digests().empty());
  const std::int64_t before = bytes_read();
  model.logits({{1}}, LogitsOf::last_token);
  const std::int64_t pass = bytes_read() - before;
  EXPECT_EQ(model.impl().weights_digest(), digest);
  const CheckpointTensor& embedding = *files->find("model.embed_tokens.weight");
  const auto vocabulary = static_cast<std::int64_t>(embedding.shape[0] * embedding.shape[1]) * 4;
  const std::int64_t all = stored_bytes(*files);
  // The pass needs all but the embedding, the digest then embedding, head and final norm alone.
  EXPECT_GE(pass, all - vocabulary - 200);
  EXPECT_LE(bytes_read() - before, all + vocabulary + 2000);
  TensorDigests wrong = model.impl().decoder.weights->digests();
  wrong.begin()->second = std::string(64, '0');
  EXPECT_NE(files->weights_digest(wrong), digest) << "what is known is not read again";
}

TEST(StreamedWeights, AnAdapterIsMergedAndItsBaseDigested) {
  const std::string adapter = test::tiny_model_path("llama_gqa_lora");
  const auto merged = [&] {
    return std::make_shared<AdaptedCheckpoint>(Checkpoint::open(test::tiny_model_path("llama_gqa")),
                                               load_lora(adapter));
  };
  const CausalLM held(load_decoder(Checkpoint::open(test::tiny_model_path("llama_gqa")),
                                   {.device = "cpu", .dtype = "float32", .adapter = adapter}));
  const CausalLM model = streamed(merged());
  EXPECT_TRUE(
      at::equal(model.logits({{1, 2}}, LogitsOf::all_tokens), held.logits({{1, 2}}, LogitsOf::all_tokens)));
  EXPECT_EQ(model.impl().weights_digest(), held.impl().weights_digest());
}

// The reader's thread meets the error; the pass reports it, and nothing hangs.
TEST(StreamedWeights, F4_AFileThatChangesWhileItIsRead) {
  const test::TemporaryFolder folder;
  test::tiny_hf("llama", false, false, {.layers = 3}).write(folder);
  const CausalLM model = streamed(open(folder.path()));
  model.logits({{1}}, LogitsOf::last_token);
  std::filesystem::resize_file(folder.path() + "/model.safetensors",
                               std::filesystem::file_size(folder.path() + "/model.safetensors") / 2);
  const std::string code = code_of([&] { model.logits({{1}}, LogitsOf::last_token); });
  EXPECT_TRUE(code == "io.changed" || code == "io.truncated") << code;
}

TEST(StreamedWeights, APassThatEndsEarlyStopsTheReader) {
  const CausalLM model = streamed(open(test::tiny_model_path("llama_gqa")));
  const HookHandle hook = model.add_hook(HookPoint::head_output, {0}, [](const HookContext&, at::Tensor&) {
    throw Error({.code = "run.interrupted", .where = "test"});
  });
  EXPECT_EQ(code_of([&] { model.logits({{1}}, LogitsOf::last_token); }), "run.interrupted");
}

TEST(StreamedWeights, WhatMustBeStreamed) {
  const std::vector<TensorSpec> table = {{TensorRole::embedding, -1, "a", "a", {1000, 1 << 20}},
                                         {TensorRole::o_weight, 0, "b", "b", {100, 1 << 20}},
                                         {TensorRole::o_weight, 1, "c", "c", {50, 1 << 20}},
                                         {TensorRole::down_weight, 0, "d", "d", {20, 1 << 20}}};
  const std::uint64_t taken = process_memory(), mebibyte = 1 << 20;
  ASSERT_GT(taken, mebibyte);
  const auto decide = [&](std::uint64_t more) {
    return must_stream(table, at::kHalf, taken + more * mebibyte, "m");
  };
  EXPECT_FALSE(must_stream(table, at::kHalf, 0, "m"));
  EXPECT_FALSE(decide(2 * 1170 * 12 / 10));
  EXPECT_TRUE(decide(2 * 1170));
  EXPECT_TRUE(decide(2 * 2 * 120 + 60));
  EXPECT_EQ(code_of([&] { decide(2 * 2 * 120 - 60); }), "limit.memory");
}

}  // namespace
}  // namespace safetylock
