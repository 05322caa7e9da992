#include "safetylock/hooks.h"

#include <atomic>
#include <thread>

#include "support/tiny_model.h"

namespace safetylock {
namespace {

using test::code_of;

const std::vector<std::vector<TokenId>> kSequences = {{5, 6, 7}, {8, 9, 10, 11, 12}};

at::Tensor logits_of(const CausalLM& model) {
  return model.logits(kSequences, LogitsOf::all_tokens);
}

TEST(Hooks, SeeRowsWithTheirRequestsAndPositions) {
  const CausalLM model = test::load_bare("llama_gqa");
  int calls = 0;
  const HookHandle handle =
      model.add_hook(HookPoint::block_output, {1}, [&](const HookContext& c, at::Tensor& value) {
        ++calls;
        EXPECT_EQ(c.layer, 1);
        EXPECT_EQ(value.sizes(), at::IntArrayRef({8, 32}));
        EXPECT_TRUE(at::equal(c.requests, at::tensor({0, 0, 0, 1, 1, 1, 1, 1}, at::kLong)));
        EXPECT_TRUE(at::equal(c.positions, at::tensor({0, 1, 2, 0, 1, 2, 3, 4}, at::kLong)));
      });
  logits_of(model);
  EXPECT_EQ(calls, 1);
}

TEST(Hooks, RunOnlyAtTheLayersAskedFor) {
  const CausalLM model = test::load_bare("llama_gqa");
  std::vector<std::int64_t> layers;
  const HookHandle handle = model.add_hook(
      HookPoint::attn_output, {0, 2}, [&](const HookContext& c, at::Tensor&) { layers.push_back(c.layer); });
  logits_of(model);
  EXPECT_EQ(layers, (std::vector<std::int64_t>{0, 2}));
}

TEST(Hooks, DestroyedHandleRestoresBitEqualLogits) {
  const CausalLM model = test::load_bare("llama_gqa");
  const at::Tensor before = logits_of(model);
  for (const HookPoint point : {HookPoint::head_output, HookPoint::attn_output, HookPoint::block_output}) {
    {
      const HookHandle handle =
          model.add_hook(point, {1}, [](const HookContext&, at::Tensor& value) { value.mul_(1.5); });
      EXPECT_FALSE(at::equal(logits_of(model), before));
    }
    EXPECT_TRUE(at::equal(logits_of(model), before));
  }
}

TEST(Hooks, ChangeAtALayerLeavesEarlierLayersBitEqual) {
  const CausalLM model = test::load_bare("llama_gqa");
  std::vector<at::Tensor> seen;
  // Keeps the tensors themselves: a later layer must not write into what a hook was shown.
  const HookHandle reader = model.add_hook(
      HookPoint::block_output, {}, [&](const HookContext&, at::Tensor& value) { seen.push_back(value); });
  logits_of(model);
  const std::vector<at::Tensor> before = std::exchange(seen, {});
  const HookHandle writer = model.add_hook(HookPoint::head_output, {1},
                                           [](const HookContext&, at::Tensor& value) { value.add_(0.5); });
  logits_of(model);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_TRUE(at::equal(seen[0], before[0]));
  EXPECT_FALSE(at::equal(seen[1], before[1]));
  EXPECT_FALSE(at::equal(seen[2], before[2]));
}

// A hook that sets one head to zero must give what a model with zeros in that head's columns of W_o gives.
TEST(Hooks, AReplacedHeadOutputTakesEffect) {
  const CausalLM model = test::load_bare("llama_gqa");
  const HookHandle handle =
      model.add_hook(HookPoint::head_output, {1}, [](const HookContext&, at::Tensor& value) {
        at::Tensor changed = value.clone();
        changed.select(1, 2).zero_();
        value = changed;
      });
  auto ablated = test::MemoryCheckpoint::copy_of("llama_gqa");
  std::vector<float>& o = ablated->mutable_values("model.layers.1.self_attn.o_proj.weight");
  for (size_t row = 0; row < 32; ++row) {
    for (size_t column = 16; column < 24; ++column) o[row * 32 + column] = 0;
  }
  const CausalLM without = test::load_bare(std::move(ablated));
  EXPECT_LT(test::relative_difference(logits_of(model), logits_of(without)), 1e-6);
}

TEST(Hooks, RefuseAValueOfAnotherShapeOrType) {
  const CausalLM model = test::load_bare("llama_gqa");
  const std::vector<HookFunction> bad = {
      [](const HookContext&, at::Tensor& value) { value = value.narrow(0, 0, 1).clone(); },
      [](const HookContext&, at::Tensor& value) { value = value.to(at::kDouble); },
      [](const HookContext&, at::Tensor& value) { value = at::Tensor(); },
  };
  for (const HookFunction& function : bad) {
    const HookHandle handle = model.add_hook(HookPoint::head_output, {}, function);
    EXPECT_EQ(code_of([&] { logits_of(model); }), "arg.shape");
  }
}

TEST(Hooks, AnExceptionReachesTheCallerAndLeavesTheModelAsItWas) {
  const CausalLM model = test::load_bare("llama_gqa");
  const at::Tensor before = logits_of(model);
  {
    const HookHandle handle =
        model.add_hook(HookPoint::attn_output, {1}, [](const HookContext&, at::Tensor& value) {
          value.zero_();
          throw std::runtime_error("stop here");
        });
    EXPECT_THROW(logits_of(model), std::runtime_error);
  }
  EXPECT_TRUE(at::equal(logits_of(model), before));
}

TEST(Hooks, HandleMayOutliveTheModel) {
  HookHandle handle, lock;
  {
    const CausalLM model = test::load_bare("llama_gqa");
    handle = model.add_hook(HookPoint::head_output, {}, [](const HookContext&, at::Tensor&) {});
    lock = model.set_default_interventions(std::make_shared<Interventions>());
  }
  EXPECT_TRUE(handle.active());
  handle.remove();
  lock.remove();
  EXPECT_FALSE(handle.active());
}

TEST(Hooks, RefuseLayersThatDoNotExist) {
  const CausalLM model = test::load_bare("llama_gqa");
  const HookFunction nothing = [](const HookContext&, at::Tensor&) {};
  EXPECT_EQ(code_of([&] { (void)model.add_hook(HookPoint::head_output, {3}, nothing); }), "arg.range");
  EXPECT_EQ(code_of([&] { (void)model.add_hook(HookPoint::head_output, {-1}, nothing); }), "arg.range");
  EXPECT_EQ(code_of([&] { (void)model.add_hook(HookPoint::head_output, {0}, HookFunction()); }), "arg.hook");
}

// Threads run passes while another adds and removes hooks that change nothing.
TEST(Hooks, ThreadsShareAModel) {
  const CausalLM model = test::load_bare("llama_gqa");
  const at::Tensor expected = logits_of(model);
  std::atomic<int> wrong = 0, finished = 0;
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      for (int i = 0; i < 10; ++i) wrong += at::equal(logits_of(model), expected) ? 0 : 1;
      ++finished;
    });
  }
  while (finished < 3) {
    const HookHandle handle = model.add_hook(HookPoint::head_output, {},
                                             [](const HookContext&, at::Tensor& value) { value.mul_(1.0); });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace safetylock
