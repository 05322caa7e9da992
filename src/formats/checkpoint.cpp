#include "formats/checkpoint.h"

#include <algorithm>

#include "base/file.h"
#include "formats/gguf_checkpoint.h"
#include "safetylock/error.h"

namespace safetylock {

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string& path) {
  return open_gguf_checkpoint(path);
}

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto& all = tensors();
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const CheckpointTensor& t) { return t.name == name; });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace safetylock
