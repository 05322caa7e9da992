// A decoding step asks the system for no memory. This program replaces malloc and posix_memalign, which
// operator new and libtorch's tensors take theirs from.
#include <dlfcn.h>

#include <atomic>
#include <cstdlib>

#include "engine/golden_requests.h"
#include "engine/token_generator.h"
#include "support/tiny_model.h"

namespace {

std::atomic<std::size_t> asked{0};

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" void* malloc(std::size_t size) {
  static auto* const system = real<void*(std::size_t)>("malloc");
  ++asked;
  return system(size);
}

extern "C" int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  static auto* const system = real<int(void**, std::size_t, std::size_t)>("posix_memalign");
  ++asked;
  return system(out, alignment, size);
}

namespace safetylock {
namespace {

/// Calls for memory before each of `tokens` tokens of the first request, of `batch` locked ones at a strength
/// each.
std::vector<std::size_t> calls_before_tokens(const CausalLM& model, const std::string& name,
                                             std::int64_t batch, std::int64_t tokens) {
  std::vector<TokenRequest> requests;
  for (std::int64_t b = 0; b < batch; ++b)
    requests.push_back({.prompt_ids = test::Golden(name).integers("ids.0"),
                        .strength = Strength(0.01 + 0.01 * static_cast<double>(b))});
  std::vector<std::size_t> calls;
  calls.reserve(static_cast<std::size_t>(tokens));
  TokenGeneratorOptions options{
      .max_new_tokens = tokens, .batch_size = batch, .logprobs = 0, .stop_ids = {}, .on_progress = {}};
  options.on_token = [&](std::size_t request, TokenId) {
    if (request == 0) calls.push_back(asked);
    return true;
  };
  const std::map<std::int64_t, at::Tensor> biases = {{0, at::full({model.config().hidden_size}, 0.01F)}};
  TokenGenerator(model.impl(), biases, requests, options).run();
  return calls;
}

class DecodeAllocation : public testing::TestWithParam<std::pair<const char*, const char*>> {};

// Between the tenth token and the sixteenth neither the replies' lists of tokens nor the cache has to grow.
TEST_P(DecodeAllocation, StepsAskForNoMemory) {
  const auto [name, dtype] = GetParam();
  const CausalLM model = test::load_bare(name, dtype);
  for (const std::int64_t batch : {1, 2, 6, 40}) {
    const std::vector<std::size_t> calls = calls_before_tokens(model, name, batch, 16);
    ASSERT_EQ(calls.size(), 16U);
    EXPECT_GT(calls[0], 0U);
    EXPECT_EQ(calls[15] - calls[9], 0U) << batch << " requests";
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, DecodeAllocation,
                         testing::Values(std::pair{"llama_gqa", "float32"},
                                         std::pair{"llama_gqa", "bfloat16"}, std::pair{"qwen3", "bfloat16"},
                                         std::pair{"mistral_window", "float32"}));

}  // namespace
}  // namespace safetylock
