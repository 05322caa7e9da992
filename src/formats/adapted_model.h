// What a base model consists of once an adapter is merged into it: as data, without any arithmetic.
#pragma once

#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/lora.h"

namespace safetylock {

/// A tensor of the adapted model: the values of `replacement` or else of `base`, plus the change of `module`
/// where there is one.
struct AdaptedTensor {
  CheckpointTensor tensor;
  const CheckpointTensor* base = nullptr;
  const LoraReplacement* replacement = nullptr;
  const LoraModule* module = nullptr;
};

struct AdaptedModel {
  ModelConfig config;  ///< the base's, but for vocab_size and tie_word_embeddings
  std::vector<AdaptedTensor> tensors;

  const AdaptedTensor* find(std::string_view name) const;
};

/// As PEFT loads it: replaced embeddings and heads may resize the vocabulary, and untie a tied model, where
/// only one of the two changes. `adapter` and `base` must outlive the result. Throws what check_lora_fits
/// throws; lora.shape when embedding and head are left with unequal rows; lora.unsupported when a tied
/// model's one tensor is given in two versions, or the tied head is adapted by LoRA and tied weights are
/// asked for; cfg.* when the config does not hold for the new vocabulary.
AdaptedModel adapted_model(const LoraAdapter& adapter, const Checkpoint& base);

}  // namespace safetylock
