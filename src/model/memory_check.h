// Whether a model's weights fit before any of them is allocated.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "base/host.h"
#include "formats/tensor_table.h"

namespace safetylock {

/// Throws Error limit.memory naming `file` when the tensors of `table`, held as `dtype`, need more than
/// `memory` has. For the CPU, whose system promises memory that it does not have and then ends the process; a
/// GPU refuses an allocation by itself. Nothing is thrown where the system does not say what it has.
void check_memory(const std::vector<TensorSpec>& table, at::ScalarType dtype, const HostMemory& memory,
                  const std::string& file);

}  // namespace safetylock
