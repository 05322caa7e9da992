// The JSON files of a baked folder.
#pragma once

#include <map>
#include <string>

#include "bake/bake_record.h"
#include "bake/hf_target.h"

namespace safetylock {

/// config.json of the output: attention_bias set; under another class every number that the source's class
/// gives by default is written out, and keys of the source's class and of custom code are dropped.
std::string baked_config(const std::string& folder, const ModelConfig& config, const HfTarget& target,
                         const BakeRecord& record);

/// tokenizer_config.json with another class; `text` empty: a new one.
std::string pinned_tokenizer_config(const std::string& folder, const std::string& tokenizer_class);

/// model.safetensors.index.json.
std::string index_text(const std::map<std::string, std::string>& weight_map, std::uint64_t total_size);

}  // namespace safetylock
