// PEFT LoRA adapters: W' = W + scale * B A. Format:
// https://huggingface.co/docs/peft/developer_guides/checkpoint
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace safetylock {

/// The low-rank change of one linear layer.
struct LoraModule {
  std::string module;      ///< path of the linear in the base, e.g. "model.layers.0.self_attn.q_proj"
  std::uint64_t rank = 0;  ///< r
  std::uint64_t in_features = 0;
  std::uint64_t out_features = 0;
  double scale = 0;      ///< alpha / r, or alpha / sqrt(r) for rsLoRA
  std::vector<float> a;  ///< [r, in_features]
  std::vector<float> b;  ///< [out_features, r]
};

/// A tensor that takes the place of the base's. Embeddings and output heads may have another number of rows,
/// when tokens were added to the vocabulary.
struct LoraReplacement {
  std::string tensor;  ///< name in the base, e.g. "lm_head.weight"
  std::vector<std::uint64_t> shape;
  std::vector<float> values;
  /// Its module is in "modules_to_save": a copy of its own, which shares nothing. Otherwise the base's own
  /// tensor was saved with the adapter, and what is tied to it follows. A module may have both; the copy is
  /// what it computes with.
  bool own_copy = false;
};

struct LoraAdapter {
  std::string path;                 ///< its folder, escaped for printing
  std::string base_model;           ///< what the adapter says it was trained on; for people, decides nothing
  std::vector<LoraModule> modules;  ///< by name; never empty together with `replacements`
  std::vector<LoraReplacement> replacements;

  /// What adapter_config.json says should have been adapted.
  std::vector<std::string> targets;  ///< last parts of module paths; empty when given as a regular expression
  bool all_linear = false;           ///< "all-linear": every linear layer but the output head
  bool restricted = false;  ///< to some layers, so that not every module of a target's name must be there
  bool ensure_weight_tying = false;  ///< a copy of the embedding is the output head of a tied model too

  /// The change of the base's tensor `weight` ("<module>.weight"), or nullptr.
  const LoraModule* find(std::string_view weight) const;
  /// What the base's tensor is replaced by, its own copy first, or nullptr.
  const LoraReplacement* find_replacement(std::string_view tensor) const;
  const LoraReplacement* find_replacement(std::string_view tensor, bool own_copy) const;
};

/// Reads adapter_config.json and adapter_model.safetensors. Throws Error io.*, st.*, lora.config, lora.rank,
/// lora.alpha, lora.pair, lora.shape, lora.duplicate, lora.partial, lora.unsupported (naming the feature),
/// lora.pickle_refused, lora.no_effect (no tensors), num.nonfinite.
LoraAdapter load_lora(const std::string& folder);

/// Proves that every part of the adapter has its place in the base: throws Error lora.target (with the
/// nearest name), lora.shape, lora.no_effect (nothing would change), lora.partial (layers the config names
/// are not in the file).
void check_lora_fits(const LoraAdapter& adapter, std::span<const CheckpointTensor> base);

}  // namespace safetylock
