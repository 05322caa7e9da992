#include "engine/fixed_decode_step.h"

#include <vector>

#if defined(SAFETYLOCK_CUDA_KERNELS)
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace safetylock {

#if defined(SAFETYLOCK_CUDA_KERNELS)
struct FixedDecodeStep::Graph {
  at::cuda::CUDAGraph graph;
};
#else
struct FixedDecodeStep::Graph {};
#endif

FixedDecodeStep::FixedDecodeStep(const Decoder& decoder, KvCache& cache,
                                 const std::map<std::int64_t, at::Tensor>& biases, std::int64_t batch)
    : decoder_(decoder),
      cache_(cache),
      capacity_(cache.capacity()),
      strengths_(at::zeros({batch, 1}, decoder.options().dtype(at::kFloat))),
      logits_(at::empty({batch, decoder.config.vocab_size}, decoder.options().dtype(at::kFloat))),
      steering_(biases, strengths_) {
  const at::TensorOptions numbers = decoder.options().dtype(at::kLong);
  batch_ = {.ids = at::zeros({batch}, numbers),
            .positions = at::zeros({batch}, numbers),
            .requests = at::zeros({batch}, at::kLong),
            .segments = {},
            .over_buffers = true};
}

FixedDecodeStep::~FixedDecodeStep() = default;

const at::Tensor& FixedDecodeStep::run(std::span<const Row> rows) {
  std::vector<std::int64_t> ids(static_cast<size_t>(batch())), positions(ids.size());
  std::vector<float> strengths(ids.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    ids[i] = rows[i].token;
    positions[i] = rows[i].position;
    strengths[i] = rows[i].strength;
  }
  batch_.ids.copy_(at::tensor(ids, at::kLong));
  batch_.positions.copy_(at::tensor(positions, at::kLong));
  strengths_.copy_(at::tensor(strengths).unsqueeze(1));
#if defined(SAFETYLOCK_CUDA_KERNELS)
  if (logits_.is_cuda()) {
    if (graph_ == nullptr) record();
    graph_->graph.replay();
    return logits_;
  }
#endif
  compute();
  return logits_;
}

void FixedDecodeStep::compute() const {
  logits_into(decoder_, DecoderPass(decoder_, batch_, steering_, {}, &cache_).run(), logits_);
}

#if defined(SAFETYLOCK_CUDA_KERNELS)
/// Writes keys and values of the rows at hand several times, always the same ones.
void FixedDecodeStep::record() {
  constexpr int kWarmUps = 3;  // libraries make their workspaces and choose their kernels
  const c10::cuda::CUDAGuard device(logits_.device());
  c10::cuda::getCurrentCUDAStream().synchronize();
  auto graph = std::make_unique<Graph>();
  const c10::cuda::CUDAStream side = c10::cuda::getStreamFromPool();
  {
    const c10::cuda::CUDAStreamGuard guard(side);
    for (int i = 0; i < kWarmUps; ++i) compute();
    side.synchronize();
    graph->graph.capture_begin();
    compute();
    graph->graph.capture_end();
  }
  graph_ = std::move(graph);
  ++recordings_;
}
#endif

}  // namespace safetylock
