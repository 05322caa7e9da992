#include "model/device_dtype.h"

#include <ATen/ExpandUtils.h>
#include <torch/library.h>

#include <fstream>

#include "model/weights.h"
#include "support/tiny_model.h"

namespace {

// scaled_dot_product_attention's reference path ends in `where`, whose shape rule libtorch itself only has in
// Python.
at::Tensor& where_out_on_meta(const at::Tensor& condition, const at::Tensor& yes, const at::Tensor& no,
                              at::Tensor& out) {
  TORCH_CHECK(condition.is_meta() && (yes.is_meta() || yes.dim() == 0) && (no.is_meta() || no.dim() == 0));
  out.resize_(at::infer_size(at::infer_size(condition.sizes(), yes.sizes()), no.sizes()));
  return out;
}

at::Tensor where_on_meta(const at::Tensor& condition, const at::Tensor& yes, const at::Tensor& no) {
  at::Tensor out = at::empty({0}, (yes.dim() >= no.dim() ? yes : no).options().device(at::kMeta));
  return where_out_on_meta(condition, yes, no, out);
}

TORCH_LIBRARY_IMPL(aten, Meta, library) {
  library.impl("where.self", &where_on_meta);
  library.impl("where.self_out", &where_out_on_meta);
}

}  // namespace

namespace safetylock {
namespace {

using test::code_of;

TEST(DeviceDtype, ReadsNames) {
  EXPECT_EQ(parse_device("cpu"), at::Device(at::kCPU));
  EXPECT_EQ(parse_dtype("float32", at::kCPU), at::kFloat);
  EXPECT_EQ(parse_dtype("bfloat16", at::kCPU), at::kBFloat16);
  EXPECT_EQ(parse_dtype("float16", at::kCPU), at::kHalf);
  EXPECT_EQ(parse_dtype("auto", at::kCUDA), at::kBFloat16);
  EXPECT_EQ(parse_dtype("auto", at::kCPU), cpu_has_bfloat16_arithmetic() ? at::kBFloat16 : at::kFloat);
  for (const char* bad : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0x", "cuda:999", "cpu:0"}) {
    EXPECT_EQ(code_of([&] { parse_device(bad); }), "arg.device") << bad;
  }
  for (const char* bad : {"", "float64", "bf16", "int8"}) {
    EXPECT_EQ(code_of([&] { parse_dtype(bad, at::kCPU); }), "arg.dtype") << bad;
  }
}

#if defined(__x86_64__) && defined(__linux__)
TEST(DeviceDtype, Bfloat16ArithmeticIsWhatTheKernelReports) {
  std::ifstream cpuinfo("/proc/cpuinfo");
  const std::string text((std::istreambuf_iterator<char>(cpuinfo)), {});
  const bool reported =
      text.find(" avx512_bf16") != std::string::npos || text.find(" amx_bf16") != std::string::npos;
  EXPECT_EQ(cpu_has_bfloat16_arithmetic(), reported);
  const bool amd = text.find("AuthenticAMD") != std::string::npos;
  EXPECT_EQ(cpu_multiplies_bfloat16_fast(), text.find(" amx_bf16") != std::string::npos ||
                                                (amd && text.find(" avx512_bf16") != std::string::npos));
}
#endif

/// Gives every tensor of `layer` the device.
void move(Weights& weights, at::Device device) {
  for (LayerWeights& l : weights.layers) {
    for (at::Tensor* t : {&l.input_norm, &l.qkv, &l.qkv_bias, &l.o_proj, &l.o_proj_bias, &l.mlp_norm,
                          &l.gate_up, &l.gate_up_bias, &l.down, &l.down_bias}) {
      if (t->defined()) *t = t->to(device);
    }
  }
  weights.embedding = weights.embedding.to(device);
  weights.final_norm = weights.final_norm.to(device);
  weights.lm_head = weights.lm_head.to(device);
}

// A whole pass on libtorch's meta device, which computes shapes only and refuses operands on another device:
// any tensor that the library makes on the CPU by mistake fails here, without a GPU.
TEST(DeviceDtype, EveryTensorOfAPassFollowsTheModel) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const char* name : {"llama_biases", "qwen2", "llama_rope_llama3"}) {
      const auto checkpoint = Checkpoint::open(test::tiny_model_path(name));
      Weights weights = load_weights(*checkpoint, at::kCPU, dtype);
      move(weights, at::kMeta);
      const Decoder decoder(checkpoint->config(), std::make_shared<HeldWeights>(std::move(weights)));
      const auto check = [&](const at::Tensor& t) {
        EXPECT_EQ(t.device().type(), at::kMeta);
        EXPECT_EQ(t.scalar_type(), dtype);
      };
      const auto registry = std::make_shared<HookRegistry>();
      std::vector<HookHandle> handles;
      for (const HookPoint point :
           {HookPoint::head_output, HookPoint::attn_output, HookPoint::block_output}) {
        handles.push_back(registry->add(
            {.point = point, .layers = {}, .function = [&](const HookContext&, at::Tensor& value) {
               check(value);
             }}));
      }
      const Interventions lock{
          .biases = {{0, at::ones({decoder.config.hidden_size}, at::TensorOptions().device(at::kMeta))}},
          .strengths = {Strength(6), Strength()}};
      const c10::InferenceMode inference;
      KvCache cache(decoder.config, 2, decoder.options());
      for (const std::vector<TokenId>& tokens :
           {std::vector<TokenId>{1, 2, 3}, {4, 5}, {6}}) {  // prompt, chunk, step
        BatchBuilder builder;
        for (const std::int64_t slot : {0, 1}) builder.add(tokens, cache.length(slot), slot, {}, slot);
        const PackedBatch batch = builder.build();
        cache.reserve(cache.length(0) + static_cast<std::int64_t>(tokens.size()));
        check(cache.keys(0));
        check(cache.values(1));
        const Steering steering(lock, batch.requests, 2, dtype);
        const at::Tensor hidden = DecoderPass(decoder, batch, steering, registry->snapshot(), &cache).run();
        check(hidden);
        const at::Tensor logits =
            at::empty({hidden.size(0), decoder.config.vocab_size}, hidden.options().dtype(at::kFloat));
        EXPECT_NO_THROW(logits_into(decoder, hidden, logits));
      }
      EXPECT_EQ(cache.length(1), 6);
    }
  }
}

TEST(DeviceDtype, LoadedTensorsHaveTheModelsDtype) {
  for (const char* dtype : {"float32", "bfloat16", "float16"}) {
    const CausalLM model = test::load_bare("llama_biases", dtype);
    EXPECT_EQ(model.dtype(), parse_dtype(dtype, at::kCPU));
    const auto layers = model.impl().decoder.weights->read_layers();
    for (const at::Tensor& tensor : layers->next().tensors()) {
      EXPECT_EQ(tensor.scalar_type(), model.dtype());
      EXPECT_EQ(tensor.device(), model.device());
    }
    EXPECT_EQ(model.o_proj_weight(0).scalar_type(), model.dtype());
    EXPECT_EQ(model.logits({{1, 2}}, LogitsOf::last_token).scalar_type(), at::kFloat);
  }
}

}  // namespace
}  // namespace safetylock
