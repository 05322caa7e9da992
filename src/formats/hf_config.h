// ModelConfig from the config.json (and generation_config.json) of a Hugging Face folder.
#pragma once

#include <string>

#include "safetylock/model_config.h"

namespace safetylock {

/// Reads the spellings of transformers 4 (`torch_dtype`, `rope_theta`, `rope_scaling`) and 5 (`dtype`,
/// `rope_parameters`). Throws Error io.*, json.*, cfg.*: cfg.conflict when two spellings disagree,
/// cfg.unsupported for anything that would change what the model computes and is not implemented.
ModelConfig read_hf_config(const std::string& folder);

/// The type that config.json says the weights were saved in ("bfloat16"); empty when it says none.
std::string stated_dtype(const std::string& folder);

}  // namespace safetylock
