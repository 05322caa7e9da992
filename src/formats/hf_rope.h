// The rotary embedding of a config.json, in the spelling of transformers 4 (`rope_theta`, `rope_scaling`), 5
// (`rope_parameters`) or both.
#pragma once

#include "base/json.h"
#include "safetylock/model_config.h"

namespace safetylock {

/// Sets rope_theta and rope_scaling of `c`, whose max_position_embeddings is read already. Throws Error
/// cfg.conflict when two places disagree, cfg.unsupported for other kinds, partial ones and one for each kind
/// of layer, cfg.missing and cfg.type.
void read_hf_rope(const JsonObject& config, ModelConfig& c);

}  // namespace safetylock
