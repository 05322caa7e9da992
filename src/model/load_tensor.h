// One tensor of the files as a tensor of the model: read as float32 and rounded once.
#pragma once

#include <atomic>
#include <string>

#include "formats/checkpoint.h"
#include "model/torch_includes.h"

namespace safetylock {

/// On all threads, a few rows at a time: beside `target` only small buffers are held (for other devices than
/// the CPU: one tensor). `target` takes as many rows as it has, from `first_row` on. Throws what
/// Checkpoint::read_rows throws, num.nonfinite for float16 overflow.
void load_tensor(const Checkpoint& checkpoint, const CheckpointTensor& source, const at::Tensor& target,
                 std::int64_t first_row = 0);

/// The same on the calling thread alone, from first to last row. Returns the SHA-256 of the stored bytes,
/// empty where the values are not the files' own. Throws run.interrupted when `stop` is set.
std::string load_tensor_in_order(const Checkpoint& checkpoint, const CheckpointTensor& source,
                                 const at::Tensor& target, const std::atomic<bool>& stop);

}  // namespace safetylock
