// A decoding step over buffers that keep their addresses. On CUDA its kernels are recorded once, as a graph,
// and replayed: a step of a small model waits for launches, not for memory. What changes from step to step,
// tokens, positions and strengths, is copied into the buffers; nothing is recorded again.
#pragma once

#include <map>
#include <memory>
#include <span>

#include "model/decoder.h"
#include "model/kv_cache.h"

namespace safetylock {

class FixedDecodeStep {
 public:
  /// For slots [0, batch) of `cache`, whose capacity must stay; `biases` as in Interventions. All must
  /// outlive this. Hooks see nothing of it, and longrope models cannot use it: their rotation depends on the
  /// length.
  FixedDecodeStep(const Decoder& decoder, KvCache& cache, const std::map<std::int64_t, at::Tensor>& biases,
                  std::int64_t batch);
  ~FixedDecodeStep();
  FixedDecodeStep(const FixedDecodeStep&) = delete;
  FixedDecodeStep& operator=(const FixedDecodeStep&) = delete;

  struct Row {
    TokenId token = 0;
    std::int64_t position = 0;  ///< below the cache's capacity
    float strength = 0;
  };
  /// Row i is the next token of slot i; slots without one compute something that nobody reads. The cache does
  /// not count the tokens. Logits [batch, V] float32 on the model's device, good until the next call.
  const at::Tensor& run(std::span<const Row> rows);

  std::int64_t batch() const { return logits_.size(0); }
  std::int64_t capacity() const noexcept { return capacity_; }  ///< of the cache it was made for
  std::int64_t recordings() const noexcept { return recordings_; }

 private:
  struct Graph;

  void compute() const;
  void record();

  const Decoder& decoder_;
  KvCache& cache_;
  std::int64_t capacity_;
  PackedBatch batch_;
  at::Tensor strengths_;  // [batch, 1] float32
  at::Tensor logits_;     // [batch, V] float32
  Steering steering_;
  std::unique_ptr<Graph> graph_;
  std::int64_t recordings_ = 0;
};

}  // namespace safetylock
