// ModelConfig from the metadata of a GGUF file.
#pragma once

#include "formats/gguf.h"
#include "safetylock/model_config.h"

namespace safetylock {

/// Throws Error cfg.* naming key, value and rule. Biases, tied embeddings and the vocabulary are read off the
/// tensor table.
ModelConfig config_of(const GgufFile& file);

}  // namespace safetylock
