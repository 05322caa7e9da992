// ModelConfig from the config.json (and generation_config.json) of a Hugging Face folder.
#pragma once

#include <string>

#include "safetylock/model_config.h"

namespace safetylock {

/// Passed over by those who ask what the files hold, and not what to compute: engines differ in that.
enum class IdleBiasKey { refuse, pass_over };

/// Reads the spellings of transformers 4 (`torch_dtype`, `rope_theta`, `rope_scaling`) and 5 (`dtype`,
/// `rope_parameters`). Throws Error io.*, json.*, cfg.*: cfg.conflict when two spellings disagree,
/// cfg.unsupported for anything that would change what the model computes and is not implemented.
/// Of those is `attention_bias: true` in a class that has no biases in transformers, unless `idle_key` says
/// to pass over it, as transformers does.
ModelConfig read_hf_config(const std::string& folder, IdleBiasKey idle_key = IdleBiasKey::refuse);

/// The type that config.json says the weights were saved in ("bfloat16"); empty when it says none.
std::string stated_dtype(const std::string& folder);

}  // namespace safetylock
