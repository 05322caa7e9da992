// The rotary embedding of a config.json, in the spelling of transformers 4 (`rope_theta`, `rope_scaling`,
// `rope_local_base_freq`), 5 (`rope_parameters`) or both.
#pragma once

#include "base/json.h"
#include "formats/families.h"

namespace safetylock {

/// Sets rope_theta, rope_scaling, rope_local_base_freq and rotary_dim of `c`, whose max_position_embeddings
/// and head_dim are read already. Throws Error cfg.conflict when two places disagree, cfg.unsupported for
/// kinds that `family` does not know, cfg.missing, cfg.range and cfg.type.
void read_hf_rope(const JsonObject& config, const Family& family, ModelConfig& c);

}  // namespace safetylock
