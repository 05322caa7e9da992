// A Hugging Face folder as a Checkpoint.
#pragma once

#include <memory>
#include <string>

#include "formats/checkpoint.h"

namespace safetylock {

/// Throws Error io.*, json.*, st.*, shard.*, cfg.*, model.*.
std::unique_ptr<Checkpoint> open_hf_checkpoint(const std::string& folder);

}  // namespace safetylock
