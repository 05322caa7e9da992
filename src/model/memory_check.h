// Whether what a model needs fits into memory, before any of it is allocated.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
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

/// Whether a process that holds the tensors of `table` as `dtype` would take more than `max_memory` bytes (0:
/// no bound), so that they must be read layer by layer. Throws Error limit.memory when two layers are too
/// much.
bool must_stream(const std::vector<TensorSpec>& table, at::ScalarType dtype, std::uint64_t max_memory,
                 const std::string& file);

/// Whether the process, given `bytes` more, stays within `max_memory` (0: no bound).
bool has_room(std::uint64_t max_memory, double bytes);

/// Throws Error limit.memory naming `what` when the process, given `bytes` more, does not stay within
/// `max_memory`. `hint` says what needs less.
void check_room(std::uint64_t max_memory, double bytes, const std::string& what, const std::string& hint);

}  // namespace safetylock
