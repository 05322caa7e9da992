// A model's weights left in its files: every pass reads them layer by layer, the next layer while one is at
// work, so that two layers are in memory at a time.
#pragma once

#include <memory>
#include <mutex>

#include "model/weight_source.h"

namespace safetylock {

class StreamedWeights final : public WeightSource {
 public:
  /// Throws model.tensor_* and what the checkpoint throws; reads the final norm only.
  StreamedWeights(std::shared_ptr<const Checkpoint> checkpoint, at::Device device, at::ScalarType dtype);

  at::TensorOptions options() const override { return final_norm_.options(); }
  std::unique_ptr<LayerReader> read_layers() const override;
  at::Tensor embed(const at::Tensor& ids) const override;
  at::Tensor final_norm() const override { return final_norm_; }
  at::Tensor to_vocabulary(const at::Tensor& x) const override;
  at::Tensor o_proj(std::int64_t layer) const override;
  std::int64_t bytes() const override;
  std::int64_t bytes_held() const override;
  TensorDigests digests() const override;

 private:
  class Layers;

  std::shared_ptr<const Checkpoint> checkpoint_;
  std::vector<TensorSpec> table_;
  at::Tensor final_norm_;
  mutable std::mutex mutex_;
  mutable TensorDigests digests_;  // guarded by mutex_
};

}  // namespace safetylock
