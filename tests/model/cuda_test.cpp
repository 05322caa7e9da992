// The same goldens on a GPU, where there is one.
#include <ATen/Context.h>

#include "model/kernels/residual_norm.h"
#include "safetylock/probes.h"
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
    const auto layers = model.impl().decoder.weights->read_layers();
    for (const at::Tensor& tensor : layers->next().tensors()) {
      EXPECT_EQ(tensor.device(), model.device());
      EXPECT_EQ(tensor.scalar_type(), model.dtype());
    }
    const at::Tensor logits = model.logits({golden.integers("ids.1")}, LogitsOf::all_tokens);
    EXPECT_LT(relative_difference(logits.cpu(), golden.floats("logits.1")), rounding) << dtype;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Cuda, testing::ValuesIn(test::tiny_model_names()),
                         [](const auto& param) { return param.param; });

TEST(CudaProbes, AllHeadsTogetherFindWhatTheCpuFinds) {
  if (!at::globalContext().hasCUDA()) GTEST_SKIP() << "no CUDA device, or a libtorch without CUDA";
  at::manual_seed(5);
  const at::Tensor rows = at::randn({300, 20, 32}), labels = at::randint(2, {300}, at::kLong);
  rows.select(1, 3).add_(labels.unsqueeze(1));
  const std::vector<Probe> want = train_probes(rows, labels), found = train_probes(rows.cuda(), labels);
  ASSERT_EQ(found.size(), want.size());
  for (size_t h = 0; h < want.size(); ++h)
    EXPECT_NEAR(found[h].objective, want[h].objective, 1e-6 * want[h].objective) << h;
}

#if defined(SAFETYLOCK_CUDA_KERNELS)
// The kernel beside the same steps in libtorch's operators: rows that are read in packs, and ones that are
// not.
TEST(CudaKernels, ResidualNormEqualsItsTwin) {
  if (!at::globalContext().hasCUDA()) GTEST_SKIP() << "no CUDA device";
  at::manual_seed(7);
  for (const auto& [dtype, unit] :
       {std::pair(at::kFloat, 1e-6), std::pair(at::kBFloat16, 0x1p-7), std::pair(at::kHalf, 0x1p-10)}) {
    for (const std::int64_t E : {7, 64, 577, 4096, 9000}) {
      for (const bool offset : {false, true}) {
        const auto random = [&, type = dtype](at::IntArrayRef sizes) {
          return at::randn(sizes).to(type).cuda();
        };
        const at::Tensor x = random({5, E}), out = random({5, E}), weight = random({E});
        const at::Tensor vector = at::randn({E}).cuda();
        const at::Tensor strengths = at::tensor({0.0F, 1.0F, 6.0F, 0.0F, -2.0F}).unsqueeze(1).cuda();
        const NormRule rule{.eps = 1e-5, .unit_offset = offset};
        for (const RowTerm& lock : {RowTerm{}, RowTerm{.vector = vector.to(dtype), .strengths = {}},
                                    RowTerm{.vector = vector, .strengths = strengths}}) {
          const ResidualNorm want = add_and_norm_by_operators(x, out.clone(), lock, weight, rule);
          const ResidualNorm found = add_and_norm(x, out.clone(), lock, weight, rule);
          EXPECT_LT(relative_difference(found.sum.cpu(), want.sum.cpu()), unit) << dtype << " " << E;
          EXPECT_LT(relative_difference(found.normed.cpu(), want.normed.cpu()), 2 * unit)
              << dtype << " " << E;
        }
      }
    }
  }
}
#endif

}  // namespace
}  // namespace safetylock
