// The MLP of a layer, the way that is quickest on this machine.
#pragma once

#include "model/kernels/instruction_set.h"
#include "model/kernels/rms_norm.h"
#include "model/torch_includes.h"
#include "safetylock/model_config.h"

namespace safetylock {

/// Biases may be undefined.
struct MlpWeights {
  const at::Tensor& gate_up;       ///< [2F, E]
  const at::Tensor& gate_up_bias;  ///< [2F]
  const at::Tensor& down;          ///< [E, F]
  const at::Tensor& down_bias;     ///< [E]
};

/// down(act(gate(x)) * up(x)) for x [N, E]: [N, E]. gate, up, act of the gate, and the product are rounded to
/// x's dtype (HF: LlamaMLP).
at::Tensor apply_mlp(const at::Tensor& x, const MlpWeights& weights, Activation act);

/// sum += apply_mlp(its norm), for sum [N, E] contiguous.
void add_mlp_of_norm(const at::Tensor& sum, const Norm& norm, const MlpWeights& weights, Activation act);
/// Whether that is one kernel: on matrix tiles, without biases of gate and up.
bool adds_mlp_of_norm(const at::Tensor& sum, const MlpWeights& weights);

/// On the CPU, with no more than this instruction set: for tests.
at::Tensor apply_mlp_with(InstructionSet set, const at::Tensor& x, const MlpWeights& weights, Activation act);

}  // namespace safetylock
