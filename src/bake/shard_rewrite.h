// A safetensors file with the values of some tensors exchanged, and fused tensors stored as their parts. The
// parts are rows one after the other, so that splitting changes the header alone.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "bake/output_stage.h"
#include "formats/safetensors.h"
#include "safetylock/model_config.h"

namespace safetylock {

struct TensorPart {
  std::string name;
  std::uint64_t rows = 0;
};

struct ShardChanges {
  std::map<std::string, std::string> values;                       ///< tensor -> its new bytes
  std::unordered_map<std::string, std::vector<TensorPart>> split;  ///< fused tensor -> its parts, in order
};

/// qkv_proj and gate_up_proj of every layer (HF: Phi3Attention, Phi3MLP).
std::unordered_map<std::string, std::vector<TensorPart>> split_of_fused(const ModelConfig& config);

bool is_changed(const SafetensorsFile& file, const ShardChanges& changes);
/// The tensors of the new file, by offset.
std::vector<SafetensorsTensor> rewritten_tensors(const SafetensorsFile& file, const ShardChanges& changes);
/// Writes and finishes `out`.
void rewrite_shard(const SafetensorsFile& file, const ShardChanges& changes, StagedFile& out,
                   const OutputStage::Check& check);

}  // namespace safetylock
