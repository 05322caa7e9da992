// The rotary embedding of a GGUF file: metadata, and tensors that hold factors.
#pragma once

#include <string_view>

#include "formats/families.h"
#include "formats/gguf.h"

namespace safetylock {

/// Sets rope_theta, rope_scaling, rope_local_base_freq and rotary_dim of `c`, whose dimensions are read
/// already. Throws Error cfg.* and model.tensor_*, naming key or tensor.
void read_gguf_rope(const GgufFile& file, const Family& family, ModelConfig& c);

/// True for the tensors that read_gguf_rope() has read into `config`.
bool is_part_of_config(const ModelConfig& config, std::string_view tensor);

}  // namespace safetylock
