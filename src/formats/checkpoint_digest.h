// SHA-256 over the tensors of a checkpoint as they are stored.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "formats/checkpoint.h"

namespace safetylock {

struct StoredTensor {
  const CheckpointTensor* tensor;
  const InputFile* file;
  std::uint64_t offset;  ///< of its bytes in `file`
  std::uint64_t bytes;
};

/// Over name, storage type, shape and SHA-256 of the bytes of each, in order of name; every part is
/// length-prefixed. A digest of digests: tensors may be read in any order, on all processors, and those in
/// `known` not at all.
std::string digest_of_tensors(std::vector<StoredTensor> tensors, const TensorDigests& known);

}  // namespace safetylock
