#include "model/kernels/scratch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace safetylock {
namespace {

class Scratch : public testing::Test {
 protected:
  c10::InferenceMode inference_;
  at::TensorOptions floats_ = at::TensorOptions().dtype(at::kFloat);
};

TEST_F(Scratch, GivesMemoryAgainOnceNobodyHoldsIt) {
  const ScratchScope scope;
  const void* first = scratch({4, 100}, floats_).data_ptr();
  EXPECT_EQ(scratch({100, 3}, floats_).data_ptr(), first);
  EXPECT_EQ(scratch({100, 3}, floats_).sizes(), at::IntArrayRef({100, 3}));
  EXPECT_NE(scratch({4, 100}, floats_.dtype(at::kBFloat16)).data_ptr(), first);
}

TEST_F(Scratch, NeverGivesWhatIsHeldNotEvenThroughAView) {
  const ScratchScope scope;
  const at::Tensor held = scratch({4, 100}, floats_).fill_(1);
  EXPECT_NE(scratch({4, 100}, floats_).data_ptr(), held.data_ptr());
  at::Tensor view = scratch({8, 8}, floats_).fill_(2).narrow(0, 1, 2);
  for (int i = 0; i < 4; ++i) scratch({8, 8}, floats_).fill_(3);
  EXPECT_TRUE((view == 2).all().item<bool>());
  EXPECT_TRUE((held == 1).all().item<bool>());
}

TEST_F(Scratch, TheSmallestThatIsLargeEnough) {
  const ScratchScope scope;
  const void* large = nullptr;
  const void* small = nullptr;
  {
    const at::Tensor a = scratch({1000}, floats_), b = scratch({10}, floats_);
    large = a.data_ptr();
    small = b.data_ptr();
  }
  EXPECT_EQ(scratch({9}, floats_).data_ptr(), small);
  EXPECT_EQ(scratch({11}, floats_).data_ptr(), large);
}

TEST_F(Scratch, IsEmptyMemoryOutsideOfAScope) {
  const at::Tensor kept = [&] {
    const ScratchScope scope;
    return scratch({64}, floats_).fill_(5);
  }();
  const at::Tensor other = scratch({64}, floats_);
  EXPECT_NE(other.data_ptr(), kept.data_ptr());
  EXPECT_TRUE((kept == 5).all().item<bool>());
}

}  // namespace
}  // namespace safetylock
