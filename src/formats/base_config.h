// What a model is, from as little of it as is at hand.
#pragma once

#include <string>

#include "safetylock/model_config.h"

namespace safetylock {

/// The config of the model at `path`: a GGUF file, a Hugging Face folder (its weights may be missing), the
/// folder of a model in a hub cache, or a config.json by itself. Throws Error io.*, hub.*, json.*, cfg.*,
/// gguf.*.
ModelConfig read_base_config(const std::string& path);

/// What people call that model.
std::string base_config_name(const std::string& path);

}  // namespace safetylock
