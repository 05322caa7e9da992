#include "bake/shard_rewrite.h"

#include <algorithm>

#include "formats/safetensors_header.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kCopyBytes = std::uint64_t{8} << 20;

void write_number(StagedFile& out, std::uint64_t value) {
  out.write(std::as_bytes(std::span(&value, 1)));
}

}  // namespace

std::unordered_map<std::string, std::vector<TensorPart>> split_of_fused(const ModelConfig& config) {
  std::unordered_map<std::string, std::vector<TensorPart>> split;
  const auto q = static_cast<std::uint64_t>(config.attention_size());
  const auto kv = static_cast<std::uint64_t>(config.kv_size());
  const auto inner = static_cast<std::uint64_t>(config.intermediate_size);
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const std::string l = "model.layers." + std::to_string(layer) + ".";
    split[l + "self_attn.qkv_proj.weight"] = {{l + "self_attn.q_proj.weight", q},
                                              {l + "self_attn.k_proj.weight", kv},
                                              {l + "self_attn.v_proj.weight", kv}};
    split[l + "mlp.gate_up_proj.weight"] = {{l + "mlp.gate_proj.weight", inner},
                                            {l + "mlp.up_proj.weight", inner}};
  }
  return split;
}

bool is_changed(const SafetensorsFile& file, const ShardChanges& changes) {
  return std::any_of(file.tensors().begin(), file.tensors().end(), [&](const SafetensorsTensor& t) {
    return changes.values.contains(t.name) || changes.split.contains(t.name);
  });
}

std::vector<SafetensorsTensor> rewritten_tensors(const SafetensorsFile& file, const ShardChanges& changes) {
  std::vector<SafetensorsTensor> tensors;
  for (const SafetensorsTensor& t : file.tensors()) {
    const auto split = changes.split.find(t.name);
    if (split == changes.split.end()) {
      tensors.push_back(t);
      continue;
    }
    const std::uint64_t row_bytes = t.bytes / t.shape.front();
    for (const TensorPart& part : split->second) {
      SafetensorsTensor piece = t;
      piece.name = part.name;
      piece.shape.front() = part.rows;
      piece.bytes = part.rows * row_bytes;
      tensors.push_back(std::move(piece));
    }
  }
  return tensors;
}

void rewrite_shard(const SafetensorsFile& file, const ShardChanges& changes, StagedFile& out,
                   const OutputStage::Check& check) {
  const std::string header = safetensors::header_text(rewritten_tensors(file, changes), file.metadata());
  write_number(out, header.size());
  out.write(header);
  std::vector<std::byte> piece;
  for (const SafetensorsTensor& t : file.tensors()) {
    const auto values = changes.values.find(t.name);
    if (values != changes.values.end()) {
      out.write(values->second);
      continue;
    }
    for (std::uint64_t done = 0; done < t.bytes; done += piece.size()) {
      if (check) check();
      piece.resize(std::min(kCopyBytes, t.bytes - done));
      file.read_bytes(t, done, piece);
      out.write(piece);
    }
  }
  file.input()->check_unchanged();
  out.finish();
}

}  // namespace safetylock
