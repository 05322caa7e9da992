// W_o times a lock's displacement, from a model's own tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "safetylock/lock.h"

namespace safetylock {

/// sum over `heads` (at least one) of sigma * W_o[:, columns of the head] direction: [E] float32 on the
/// device of `o_proj` [E, H*D]. Computed in double from those columns alone, and rounded once. Does not
/// depend on the number of threads.
at::Tensor output_bias(const at::Tensor& o_proj, const std::vector<HeadDirection>& heads);

}  // namespace safetylock
