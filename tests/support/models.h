// Where the packaged models are: $SAFETYLOCK_MODELS, else the cache that scripts/get_model.py fills.
#pragma once

#include <cstdlib>
#include <string>

namespace safetylock::test {

inline std::string models_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string folder = variable("SAFETYLOCK_MODELS"); !folder.empty()) return folder;
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return cache + "/safetylock/models";
  return variable("HOME") + "/.cache/safetylock/models";
}

inline std::string smollm2_path() {
  return models_folder() + "/SmolLM2-135M-Instruct.Q4_1.gguf";
}
inline std::string qwen_path() {
  return models_folder() + "/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf";
}

}  // namespace safetylock::test
