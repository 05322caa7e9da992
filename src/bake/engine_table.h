// Which engines add an o_proj bias, by class of the model they are given.
#pragma once

#include <string_view>
#include <vector>

#include "safetylock/bake.h"

namespace safetylock {

/// For a Hugging Face folder of this class with attention_bias set and every bias there.
std::vector<EngineVerdict> engines_for_class(std::string_view architecture);
/// For a GGUF file of arch llama.
std::vector<EngineVerdict> engines_for_gguf();

}  // namespace safetylock
