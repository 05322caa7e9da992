// Products of many rows on processors without tiles, or in dtypes that tiles do not take.
#pragma once

#include "model/kernels/instruction_set.h"
#include "model/torch_includes.h"

namespace safetylock {

/// Rows from which on packing them as panels pays.
inline constexpr std::int64_t kPanelsFrom = 28;

/// float32, bfloat16 or float16, widened to float32 and summed there.
template <typename T>
struct PanelLinear {
  const T* x;       ///< [rows, in]
  const T* weight;  ///< [out, in]
  const T* bias;    ///< [out] or null
  T* y;             ///< [rows, out]
  std::int64_t rows, in, out;
};

/// y = x W^T + bias, rounded once. A value depends neither on the other rows nor on the threads.
template <typename T>
void panel_linear(InstructionSet set, const PanelLinear<T>& product);

template <typename T>
struct PanelMlp {
  const T* x;             ///< [rows, hidden]
  const T* gate_up;       ///< [2 features, hidden]
  const T* gate_up_bias;  ///< [2 features] or null
  const T* down;          ///< [hidden, features]
  const T* bias;          ///< of down, [hidden] or null
  T* y;                   ///< [rows, hidden]
  std::int64_t rows, hidden, features;
  bool gelu;  ///< HF: gelu_pytorch_tanh; otherwise silu
};

/// y = down(act(gate(x)) * up(x)) + bias. gate, up, act of the gate, and the product are rounded to T; none
/// of them is ever in memory but the last, as panels.
template <typename T>
void panel_mlp(InstructionSet set, const PanelMlp<T>& mlp);

}  // namespace safetylock
