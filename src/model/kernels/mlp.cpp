#include "model/kernels/mlp.h"

#include "model/kernels/cpu_clones.h"
#include "model/kernels/cpu_linear.h"
#include "model/kernels/gated_activation.h"
#include "model/kernels/linear.h"
#include "model/kernels/panel_product.h"
#include "model/kernels/residual_norm.h"
#include "model/kernels/scratch.h"
#include "model/kernels/tile_linear.h"
#include "model/kernels/tile_mlp.h"

namespace safetylock {
namespace {

template <typename T>
const T* data(const at::Tensor& t) {
  return t.defined() ? t.const_data_ptr<T>() : nullptr;
}

bool is_for_tile_mlp(InstructionSet set, const at::Tensor& x, const MlpWeights& w) {
  return x.is_cpu() && is_for_tiles(set, x.scalar_type(), x.size(0), x.size(1)) &&
         fits_tiles(w.down.size(1)) && !w.gate_up_bias.defined();
}

TileMlp on_tiles(const at::Tensor& x, const MlpWeights& w, Activation act, const at::Tensor& y) {
  return {.x = data<at::BFloat16>(x),
          .norm = {},
          .gate_up = data<at::BFloat16>(w.gate_up),
          .down = data<at::BFloat16>(w.down),
          .bias = data<at::BFloat16>(w.down_bias),
          .y = y.mutable_data_ptr<at::BFloat16>(),
          .adds = false,
          .rows = x.size(0),
          .hidden = x.size(1),
          .features = w.down.size(1),
          .gelu = act == Activation::gelu_pytorch_tanh};
}

at::Tensor apply_on_tiles(const at::Tensor& x, const MlpWeights& w, Activation act) {
  const at::Tensor rows = x.contiguous();
  at::Tensor y = scratch(x.sizes(), x.options());
  tile_mlp(on_tiles(rows, w, act, y));
  return y;
}

at::Tensor on_panels(InstructionSet set, const at::Tensor& x, const MlpWeights& w, Activation act) {
  const at::Tensor rows = x.contiguous(), y = scratch(x.sizes(), x.options());
  with_type(x.scalar_type(), [&]<typename T>() {
    panel_mlp<T>(set, {.x = data<T>(rows),
                       .gate_up = data<T>(w.gate_up),
                       .gate_up_bias = data<T>(w.gate_up_bias),
                       .down = data<T>(w.down),
                       .bias = data<T>(w.down_bias),
                       .y = y.mutable_data_ptr<T>(),
                       .rows = x.size(0),
                       .hidden = x.size(1),
                       .features = w.down.size(1),
                       .gelu = act == Activation::gelu_pytorch_tanh});
  });
  return y;
}

/// Whether x [N, E] W^T would be made of panels.
bool is_for_panels(InstructionSet set, const at::Tensor& x) {
  return x.size(0) >= kPanelsFrom && !is_for_tiles(set, x.scalar_type(), x.size(0), x.size(1));
}

}  // namespace

at::Tensor apply_mlp(const at::Tensor& x, const MlpWeights& w, Activation act) {
  const InstructionSet set = best_instruction_set();
  if (is_for_tile_mlp(set, x, w)) return apply_on_tiles(x, w, act);
  if (is_for_cpu_linear(x, x.size(1)) && is_for_panels(set, x)) return on_panels(set, x, w, act);
  return apply_linear(gated_activation(apply_linear(x, w.gate_up, w.gate_up_bias), act), w.down, w.down_bias);
}

bool adds_mlp_of_norm(const at::Tensor& sum, const MlpWeights& weights) {
  return is_for_tile_mlp(best_instruction_set(), sum, weights);
}

void add_mlp_of_norm(const at::Tensor& sum, const Norm& norm, const MlpWeights& weights, Activation act) {
  if (!adds_mlp_of_norm(sum, weights)) {
    add_rows(sum, apply_mlp(rms_norm(sum, norm.weight, norm.rule), weights, act));
    return;
  }
  TileMlp mlp = on_tiles(sum, weights, act, sum);
  mlp.norm = tile_norm(norm);
  mlp.adds = true;
  tile_mlp(mlp);
}

at::Tensor apply_mlp_with(InstructionSet set, const at::Tensor& x, const MlpWeights& w, Activation act) {
  if (is_for_tile_mlp(set, x, w)) return apply_on_tiles(x, w, act);
  if (is_for_panels(set, x)) return on_panels(set, x, w, act);
  return cpu_linear_with(set, gated_activation(cpu_linear_with(set, x, w.gate_up, w.gate_up_bias), act),
                         w.down, w.down_bias);
}

}  // namespace safetylock
