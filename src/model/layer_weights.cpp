#include "model/layer_weights.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "safetylock/error.h"

namespace safetylock {
namespace {

/// Before the first touch. Only a wish; the system may have none, and small tensors have none either.
void ask_for_huge_pages([[maybe_unused]] const at::Tensor& tensor) {
#if defined(__linux__)
  if (!tensor.is_cpu()) return;
  constexpr std::uintptr_t kHugePage = std::uintptr_t{1} << 21;
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.data_ptr());
  const std::uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t last = (begin + tensor.nbytes()) / kHugePage * kHugePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace

at::Tensor empty_weight(at::IntArrayRef shape, const at::TensorOptions& options) {
  at::Tensor tensor = at::empty(shape, options);
  ask_for_huge_pages(tensor);
  return tensor;
}

LayerWeights empty_layer(const ModelConfig& c, const at::TensorOptions& options) {
  const std::int64_t E = c.hidden_size, F = c.intermediate_size, D = c.head_dim, HD = c.attention_size(),
                     GD = c.kv_size();
  const auto empty = [&](at::IntArrayRef shape) { return empty_weight(shape, options); };
  LayerWeights layer;
  layer.input_norm = empty({E});
  layer.qkv = empty({HD + 2 * GD, E});
  layer.o_proj = empty({E, HD});
  layer.mlp_norm = empty({E});
  layer.gate_up = empty({2 * F, E});
  layer.down = empty({E, F});
  if (c.attention_bias) layer.qkv_bias = empty({HD + 2 * GD});
  if (c.attention_out_bias) layer.o_proj_bias = empty({E});
  if (c.mlp_bias) {
    layer.gate_up_bias = empty({2 * F});
    layer.down_bias = empty({E});
  }
  if (c.qk_norm) {
    layer.q_norm = empty({D});
    layer.k_norm = empty({D});
  }
  if (c.sandwich_norm) {
    layer.attn_output_norm = empty({E});
    layer.mlp_output_norm = empty({E});
  }
  return layer;
}

std::vector<at::Tensor> LayerWeights::tensors() const {
  std::vector<at::Tensor> all;
  for (const at::Tensor& t :
       {input_norm, qkv, qkv_bias, q_norm, k_norm, o_proj, o_proj_bias, attn_output_norm, mlp_norm, gate_up,
        gate_up_bias, down, down_bias, mlp_output_norm}) {
    if (t.defined()) all.push_back(t);
  }
  return all;
}

at::Tensor LayerWeights::place_of(const TensorSpec& spec, const ModelConfig& c) const {
  using Role = TensorRole;
  const std::int64_t F = c.intermediate_size, HD = c.attention_size(), GD = c.kv_size();
  switch (spec.role) {
    case Role::input_norm:
      return input_norm;
    case Role::q_weight:
      return qkv.narrow(0, 0, HD);
    case Role::k_weight:
      return qkv.narrow(0, HD, GD);
    case Role::v_weight:
      return qkv.narrow(0, HD + GD, GD);
    case Role::qkv_weight:
      return qkv;
    case Role::q_norm:
      return q_norm;
    case Role::k_norm:
      return k_norm;
    case Role::q_bias:
      return qkv_bias.narrow(0, 0, HD);
    case Role::k_bias:
      return qkv_bias.narrow(0, HD, GD);
    case Role::v_bias:
      return qkv_bias.narrow(0, HD + GD, GD);
    case Role::o_weight:
      return o_proj;
    case Role::o_bias:
      return o_proj_bias;
    case Role::attn_output_norm:
      return attn_output_norm;
    case Role::mlp_norm:
      return mlp_norm;
    case Role::gate_weight:
      return gate_up.narrow(0, 0, F);
    case Role::up_weight:
      return gate_up.narrow(0, F, F);
    case Role::gate_up_weight:
      return gate_up;
    case Role::gate_bias:
      return gate_up_bias.narrow(0, 0, F);
    case Role::up_bias:
      return gate_up_bias.narrow(0, F, F);
    case Role::down_weight:
      return down;
    case Role::down_bias:
      return down_bias;
    case Role::mlp_output_norm:
      return mlp_output_norm;
    default:
      break;
  }
  throw Error({.code = "model.tensor_missing", .where = spec.name, .expected = "a place for the tensor"});
}

void LayerWeights::drop_zero_biases() {
  for (at::Tensor* bias : {&qkv_bias, &o_proj_bias, &gate_up_bias, &down_bias}) {
    if (bias->defined() && !bias->any().item<bool>()) bias->reset();
  }
}

}  // namespace safetylock
