// What a baked model says of itself: "safetylock" in config.json, safetylock.* in a GGUF file. For people and
// for refusing a second lock; whether a model is locked is measured, not believed.
#pragma once

#include <optional>
#include <string>

#include "safetylock/lock.h"
#include "safetylock/model_config.h"

namespace safetylock {

inline constexpr const char* kDigestKey = "safetylock.lock_digest";
inline constexpr const char* kAlphaKey = "safetylock.alpha";
inline constexpr const char* kBaseArchitectureKey = "safetylock.base_architecture";
inline constexpr const char* kWithAdapterKey = "safetylock.with_adapter";

struct BakeRecord {
  std::string lock_digest;
  double alpha = 0;
  std::string base_architecture;
  bool with_adapter = false;
};

/// The record of a folder or a GGUF file, or nothing.
std::optional<BakeRecord> read_bake_record(const std::string& path);

/// Throws bind.bake where there is one.
void refuse_baked(const std::string& path);

/// `config` under the class that the lock knows its base by, where files give the same model another: GGUF
/// files of Mistral say llama, and Mistral, Qwen2 and Phi-3 are baked as Llama.
ModelConfig as_lock_names_it(ModelConfig config, const SafetyLock& lock);

}  // namespace safetylock
