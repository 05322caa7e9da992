// The JSON files of a baked folder.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "bake/hf_target.h"
#include "base/json.h"
#include "safetylock/lock.h"

namespace safetylock {

/// What a baked model says of itself: "safetylock" in config.json, safetylock.* in a GGUF file.
struct BakeRecord {
  std::string lock_digest;
  double alpha = 0;
  std::string base_architecture;
  bool with_adapter = false;
};

/// config.json of the output: attention_bias set; under another class every number that the source's class
/// gives by default is written out, and keys of the source's class and of custom code are dropped.
std::string baked_config(const std::string& folder, const ModelConfig& config, const HfTarget& target,
                         const BakeRecord& record);

/// The record in config.json, or nothing.
std::optional<BakeRecord> read_bake_record(const std::string& folder);

/// tokenizer_config.json with another class; `text` empty: a new one.
std::string pinned_tokenizer_config(const std::string& folder, const std::string& tokenizer_class);

/// model.safetensors.index.json.
std::string index_text(const std::map<std::string, std::string>& weight_map, std::uint64_t total_size);

}  // namespace safetylock
