// Rotary position embeddings, half against half as Hugging Face lays them out.
#pragma once

#include "model/kernels/heads.h"
#include "model/packed_batch.h"
#include "model/torch_includes.h"
#include "safetylock/model_config.h"

namespace safetylock {

/// The rotary embeddings of a model. R is the number of rotated values of a head, D or fewer.
struct RopeFrequencies {
  at::Tensor inverse;       ///< [R/2] float32, with the config's scaling (HF: modeling_rope_utils.py)
  at::Tensor long_inverse;  ///< [R/2], longrope: for sequences beyond the original context; else undefined
  at::Tensor
      local_inverse;  ///< [R/2], for sliding layers where they have a base of their own; else undefined
  double attention_factor = 1.0;  ///< cosines and sines are multiplied by it

  RopeFrequencies(const ModelConfig& config, at::Device device);
};

/// Cosines and sines of N rows, [N, 1, R/2], computed in float32 and rounded to the model's dtype.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};

/// The tables that the layers of one pass share.
class RopeTables {
 public:
  /// Throws Error data.too_long when sequences that share a prefix stand on both sides of a longrope model's
  /// original context: their shared keys would have to be rotated in two ways.
  RopeTables(const RopeFrequencies& frequencies, const ModelConfig& config, const PackedBatch& batch,
             at::ScalarType dtype);

  /// Rotates `heads` of `layer` in place; nothing in a layer without rotation.
  void rotate_in_place(const Heads& heads, std::int64_t layer) const;
  /// Takes on the batch's positions of now, on the CPU. Not for longrope.
  void follow(const PackedBatch& batch);

 private:
  void fill(const RopeTable& table, const at::Tensor& inverse, double factor);

  const RopeFrequencies& frequencies_;
  const ModelConfig& config_;
  RopeTable table_;
  RopeTable local_;    // undefined where sliding layers have no base of their own
  at::Tensor rows_;    // [N, 1, 1] float32: positions
  at::Tensor angles_;  // [N, 1, R/2] float32
};

}  // namespace safetylock
