// act(gate) * up, between the two products of an MLP.
#pragma once

#include "model/torch_includes.h"
#include "safetylock/model_config.h"

namespace safetylock {

/// act(gate) * up, [N, F], for gate and up side by side [N, 2F], contiguous; act(gate) is rounded first (HF:
/// LlamaMLP). On the CPU one kernel, elsewhere gated_activation_by_operators.
at::Tensor gated_activation(const at::Tensor& gate_up, Activation act);

/// The same in libtorch's operators: on CUDA, and in the tests.
at::Tensor gated_activation_by_operators(const at::Tensor& gate_up, Activation act);

}  // namespace safetylock
