// All heads' probes at once, in operators of libtorch: for rows on a GPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "safetylock/probes.h"

namespace safetylock {

/// As train_probes, on the device of `rows` [N, M, D], whose values are finite; `labels` [N] float64 on that
/// device. Newton's method with a line search, in float64: a head needs six to ten steps of a product and a
/// Cholesky factorisation, which fill a GPU when all heads take them together. On the CPU it is the twin that
/// tests hold against scikit-learn; the solver there (probe_solver.h) keeps one head in the cache and is
/// faster.
std::vector<Probe> train_probes_together(const at::Tensor& rows, const at::Tensor& labels,
                                         const ProbeOptions& options);

}  // namespace safetylock
