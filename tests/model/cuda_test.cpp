// The same goldens on a GPU, where there is one.
#include <ATen/Context.h>

#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::Golden;
using test::relative_difference;

class Cuda : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!at::globalContext().hasCUDA()) GTEST_SKIP() << "no CUDA device, or a libtorch without CUDA";
  }
  static CausalLM load(const std::string& name, const std::string& dtype) {
    return CausalLM(
        load_decoder(Checkpoint::open(test::tiny_model_path(name)), {.device = "cuda", .dtype = dtype}));
  }
};

TEST_P(Cuda, LogitsAndHeadOutputsEqualTransformers) {
  const Golden golden(GetParam());
  const CausalLM model = load(GetParam(), "float32");
  std::vector<at::Tensor> seen;
  const HookHandle handle =
      model.add_hook(HookPoint::head_output, {}, [&](const HookContext&, at::Tensor& value) {
        EXPECT_TRUE(value.is_cuda());
        seen.push_back(value.cpu());
      });
  const at::Tensor logits = model.logits({golden.integers("ids.1")}, LogitsOf::all_tokens);
  EXPECT_TRUE(logits.is_cuda());
  EXPECT_LT(relative_difference(logits.cpu(), golden.floats("logits.1")), 1e-4);
  EXPECT_LT(relative_difference(at::stack(seen, 1), golden.floats("heads.1")), 1e-4);
}

TEST_P(Cuda, HalfPrecisionIsWithinItsRounding) {
  const Golden golden(GetParam());
  for (const auto& [dtype, rounding] : {std::pair("bfloat16", 0.06), std::pair("float16", 0.008)}) {
    const CausalLM model = load(GetParam(), dtype);
    for (const at::Tensor& tensor : model.impl().decoder.weights.tensors()) {
      EXPECT_EQ(tensor.device(), model.device());
      EXPECT_EQ(tensor.scalar_type(), model.dtype());
    }
    const at::Tensor logits = model.logits({golden.integers("ids.1")}, LogitsOf::all_tokens);
    EXPECT_LT(relative_difference(logits.cpu(), golden.floats("logits.1")), rounding) << dtype;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Cuda, testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace safetylock
