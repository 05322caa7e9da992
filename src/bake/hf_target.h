// The class under which a Hugging Face folder holds a lock.
#pragma once

#include <string>
#include <vector>

#include "formats/lora.h"
#include "safetylock/model_config.h"

namespace safetylock {

struct HfTarget {
  std::string architecture;  ///< of the output
  std::string model_type;
  bool renamed = false;  ///< another class than the source's, which has no o_proj bias
  bool split = false;    ///< qkv_proj and gate_up_proj are stored as their parts
  /// What tokenizer_config.json must say, so that transformers reads the same tokens under another model
  /// type; empty: as it is.
  std::string tokenizer_class;
};

/// Throws bind.bake with the reason and the alternative where no class of transformers computes the same with
/// an o_proj bias.
HfTarget hf_target(const ModelConfig& config, const std::string& folder, const LoraAdapter* adapter);

}  // namespace safetylock
