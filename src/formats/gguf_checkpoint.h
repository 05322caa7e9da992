// A GGUF file of architecture llama or qwen2 as a Checkpoint.
#pragma once

#include <memory>
#include <string>

#include "formats/checkpoint.h"

namespace safetylock {

/// Throws Error io.*, gguf.*, limit.*, cfg.*, model.tensor_*.
std::unique_ptr<Checkpoint> open_gguf_checkpoint(const std::string& path);

}  // namespace safetylock
