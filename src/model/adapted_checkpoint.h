// A checkpoint with a LoRA adapter merged in: W + scale * B A, computed in float32 while rows are read, so
// that the base's weights are never held twice.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "formats/adapted_model.h"
#include "formats/checkpoint.h"
#include "formats/lora.h"

namespace safetylock {

class AdaptedCheckpoint : public Checkpoint {
 public:
  /// Throws what adapted_model throws.
  AdaptedCheckpoint(std::unique_ptr<const Checkpoint> base, LoraAdapter adapter);

  const std::string& path() const override { return base_->path(); }
  std::string format() const override { return base_->format() + " with a LoRA adapter"; }
  const ModelConfig& config() const override { return model_.config; }
  const std::vector<CheckpointTensor>& tensors() const override { return tensors_; }
  /// SHA-256 over the base's digest and all of the adapter.
  std::string weights_digest(const TensorDigests& known) const override;

 protected:
  /// Throws num.nonfinite (tensor, flat index) also when a merged value is not finite.
  void fill_rows(const CheckpointTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                 std::span<float> out, const ByteObserver& seen) const override;

 private:
  const AdaptedTensor& source_of(const CheckpointTensor& tensor) const;

  std::unique_ptr<const Checkpoint> base_;
  LoraAdapter adapter_;
  AdaptedModel model_;
  std::vector<CheckpointTensor> tensors_;
  std::unordered_map<std::string, const AdaptedTensor*> sources_;
};

}  // namespace safetylock
