// The weight files of a Hugging Face folder: model.safetensors, or the shards that
// model.safetensors.index.json names.
#pragma once

#include <string>
#include <vector>

#include "formats/safetensors.h"

namespace safetylock {

constexpr size_t kMaxShards = 512;

/// All of them, checked; shards are held on demand. Throws Error io.open (no weights), model.pickle_refused
/// (only pickles), shard.index, shard.path, shard.missing, shard.mapping, shard.duplicate, shard.total_size,
/// shard.ambiguous, limit.shards, io.link, st.*.
std::vector<SafetensorsFile> open_weight_files(const std::string& folder);

}  // namespace safetylock
