#include "model/kernels/mlp.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#include "model/kernels/cpu_linear.h"
#include "model/kernels/gated_activation.h"

namespace safetylock {
namespace {

struct Mlp {
  at::Tensor x, gate_up, gate_up_bias, down, down_bias;

  Mlp(at::ScalarType dtype, std::int64_t rows, std::int64_t hidden, std::int64_t features, bool biased,
      bool gate_up_biased = false) {
    const auto scaled = [&](at::IntArrayRef shape, std::int64_t depth) {
      return (at::randn(shape) / std::sqrt(static_cast<double>(depth))).to(dtype);
    };
    x = scaled({rows, hidden}, 1);
    gate_up = scaled({2 * features, hidden}, hidden);
    down = scaled({hidden, features}, features);
    if (biased) down_bias = scaled({hidden}, 1);
    if (gate_up_biased) gate_up_bias = scaled({2 * features}, 1);
  }
  MlpWeights weights() const { return {gate_up, gate_up_bias, down, down_bias}; }

  /// In double, rounded to x's dtype where HF rounds.
  at::Tensor exact(Activation act) const {
    const auto rounded = [&](const at::Tensor& t) { return t.to(x.scalar_type()).to(at::kDouble); };
    const auto times = [](const at::Tensor& a, const at::Tensor& w) {
      return at::mm(a, w.to(at::kDouble).t());
    };
    at::Tensor both = times(x.to(at::kDouble), gate_up);
    if (gate_up_bias.defined()) both = both + gate_up_bias.to(at::kDouble);
    both = rounded(both);
    const std::int64_t features = gate_up.size(0) / 2;
    const at::Tensor gate = both.narrow(1, 0, features), up = both.narrow(1, features, features);
    const at::Tensor on =
        rounded(act == Activation::gelu_pytorch_tanh ? at::gelu(gate, "tanh") : at::silu(gate));
    const at::Tensor y = times(rounded(on * up), down);
    return down_bias.defined() ? y + down_bias.to(at::kDouble) : y;
  }
};

class CpuMlp : public testing::TestWithParam<InstructionSet> {};

// Rows that fill tiles and panels and that do not, more than are taken at once, depths beyond a part of the
// kernels' own, sizes that no tile divides, with and without biases.
TEST_P(CpuMlp, EqualsTheFormulaInDouble) {
  at::manual_seed(7);
  // A sum in float32 may fall on the other side of where gate or up are rounded: hence the allowance.
  for (const auto& [dtype, unit, allowance] :
       {std::tuple{at::kBFloat16, 0x1p-8, 0.01}, {at::kFloat, 0x1p-20, 1e-5}, {at::kHalf, 0x1p-11, 0.002}}) {
    for (const std::int64_t rows : {1, 5, 16, 23, 40, 75, 360, 518}) {
      for (const auto& [hidden, features] : {std::pair{64, 96},
                                             {96, 64},
                                             {576, 1536},
                                             {2112, 320},
                                             {320, 2144},
                                             {64, 100},
                                             {50, 67},
                                             {12, 670}}) {
        const bool large = hidden * features > 100 * 100;
        if (large && (rows > 360 || dtype != at::kBFloat16)) continue;  // for the time that it takes
        for (const Activation act : {Activation::silu, Activation::gelu_pytorch_tanh}) {
          const Mlp mlp(dtype, rows, hidden, features, rows % 2 == 1, features == 67 || hidden == 96);
          const at::Tensor expected = mlp.exact(act),
                           y = apply_mlp_with(GetParam(), mlp.x, mlp.weights(), act);
          ASSERT_EQ(y.sizes(), expected.sizes());
          const at::Tensor error = (y.to(at::kDouble) - expected).abs();
          EXPECT_TRUE((error <= expected.abs() * unit + allowance).all().item<bool>())
              << dtype << " " << rows << " " << hidden << " " << features << ": "
              << error.max().item<double>();
        }
      }
    }
  }
}

TEST_P(CpuMlp, CarriesWhatIsNotANumber) {
  for (const std::int64_t rows : {20, 80}) {
    Mlp mlp(at::kBFloat16, rows, 64, 96, false);
    mlp.x.index_put_({at::tensor({3}), at::tensor({7})}, at::tensor({std::nanf("")}).to(at::kBFloat16));
    const at::Tensor y = apply_mlp_with(GetParam(), mlp.x, mlp.weights(), Activation::silu);
    const at::Tensor lost = y.isnan().any(1);
    EXPECT_TRUE(lost[3].item<bool>());
    EXPECT_EQ(lost.sum().item<std::int64_t>(), 1);
  }
}

TEST_P(CpuMlp, GatesMayLieFarBeyondTheRangeOfExp) {
  constexpr double kScale = 300;
  for (const std::int64_t rows : {20, 80}) {
    Mlp mlp(at::kFloat, rows, 64, 96, false);
    mlp.x.mul_(kScale);
    for (const Activation act : {Activation::silu, Activation::gelu_pytorch_tanh}) {
      const at::Tensor y = apply_mlp_with(GetParam(), mlp.x, mlp.weights(), act);
      EXPECT_LE((y.to(at::kDouble) - mlp.exact(act)).abs().max().item<double>(), 1e-5 * kScale * kScale);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, CpuMlp, testing::ValuesIn(host_instruction_sets()),
                         [](const auto& instance) { return std::string(name_of(instance.param)); });

// The kernel without anything between its products rounds where the three by themselves do.
TEST(TileMlp, HasTheSameBitsAsItsParts) {
  if (best_instruction_set() != InstructionSet::amx) GTEST_SKIP() << "no matrix tiles on this processor";
  at::manual_seed(8);
  for (const auto& [hidden, features] : {std::pair{576, 1536}, {320, 4160}}) {
    for (const std::int64_t rows : {5, 33, 350}) {
      const Mlp mlp(at::kBFloat16, rows, hidden, features, true);
      const at::Tensor gate_up = cpu_linear(mlp.x, mlp.gate_up, {});
      const at::Tensor parts =
          cpu_linear(gated_activation(gate_up, Activation::silu), mlp.down, mlp.down_bias);
      EXPECT_TRUE(at::equal(apply_mlp(mlp.x, mlp.weights(), Activation::silu), parts))
          << hidden << " " << features << " " << rows;
    }
  }
}

// Wherever its parts are one kernel.
TEST(Mlp, IsAddedToWhatItIsTheNormOf) {
  at::manual_seed(9);
  const NormRule rule{.eps = 1e-5};
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t rows : {1, 5, 33, 350}) {
      const Mlp mlp(dtype, rows, 576, 1536, rows % 2 == 1);
      const at::Tensor weight = at::randn({576}).to(dtype);
      const at::Tensor want =
          mlp.x + apply_mlp(rms_norm(mlp.x, weight, rule), mlp.weights(), Activation::silu);
      const at::Tensor sum = mlp.x.clone();
      add_mlp_of_norm(sum, {.weight = weight, .rule = rule}, mlp.weights(), Activation::silu);
      EXPECT_TRUE(at::equal(sum, want)) << dtype << " " << rows;
    }
  }
}

}  // namespace
}  // namespace safetylock
