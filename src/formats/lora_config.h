// adapter_config.json of PEFT.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace safetylock {

struct LoraConfig {
  std::string file;
  std::string base_model;
  std::int64_t rank = 0;
  double alpha = 0;
  bool rank_stabilised = false;  ///< rsLoRA
  std::vector<std::pair<std::string, std::int64_t>>
      rank_pattern;  ///< in the file's order: the first match holds
  std::vector<std::pair<std::string, double>> alpha_pattern;
  std::vector<std::string> targets;
  bool all_linear = false;
  bool restricted = false;
  std::vector<std::string> modules_to_save;
  bool ensure_weight_tying = false;

  std::int64_t rank_of(std::string_view module) const;
  double scale_of(std::string_view module) const;
  /// Whether it is in modules_to_save, or tied to one that is and meant to stay so.
  bool saves(std::string_view module) const;
};

/// Whether PEFT would match `key` (a pattern or target without metacharacters) to the path `module`: equal,
/// or equal to its last parts.
bool matches_module(std::string_view key, std::string_view module);

/// Throws Error lora.config, lora.rank, lora.alpha, lora.unsupported, json.*, cfg.type.
LoraConfig read_lora_config(const std::string& folder);

}  // namespace safetylock
