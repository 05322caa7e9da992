// What a config.json says of single layers: which see a sliding window only, which do not rotate.
#pragma once

#include "base/json.h"
#include "formats/families.h"

namespace safetylock {

/// Sets sliding_window, sliding_layers and layers_without_rope of `c`, whose num_hidden_layers is read
/// already. Throws Error cfg.unsupported for kinds of layers that `family` does not know, cfg.conflict,
/// cfg.missing, cfg.range and cfg.type.
void read_hf_layers(const JsonObject& config, const Family& family, ModelConfig& c);

}  // namespace safetylock
