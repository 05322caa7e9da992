#include "model/weights.h"

#include <cstddef>
#include <cstring>

#include "formats/checkpoint_tensors.h"
#include "model/kernels/linear.h"
#include "model/kernels/scratch.h"
#include "model/load_tensor.h"
#include "model/memory_check.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

class HeldLayers final : public LayerReader {
 public:
  explicit HeldLayers(const std::vector<LayerWeights>& layers) : next_(layers.begin()) {}
  const LayerWeights& next() override { return *next_++; }

 private:
  std::vector<LayerWeights>::const_iterator next_;
};

Weights allocate(const ModelConfig& c, const at::TensorOptions& options) {
  Weights w;
  w.embedding = empty_weight({c.vocab_size, c.hidden_size}, options);
  w.final_norm = empty_weight({c.hidden_size}, options);
  w.lm_head = c.tie_word_embeddings ? w.embedding : empty_weight({c.vocab_size, c.hidden_size}, options);
  for (std::int64_t layer = 0; layer < c.num_hidden_layers; ++layer)
    w.layers.push_back(empty_layer(c, options));
  return w;
}

at::Tensor place_of(const TensorSpec& spec, const Weights& w, const ModelConfig& config) {
  if (spec.role == TensorRole::embedding) return w.embedding;
  if (spec.role == TensorRole::final_norm) return w.final_norm;
  if (spec.role == TensorRole::lm_head) return w.lm_head;
  return w.layers.at(static_cast<size_t>(spec.layer)).place_of(spec, config);
}

}  // namespace

std::vector<at::Tensor> Weights::tensors() const {
  std::vector<at::Tensor> all = {embedding, final_norm};
  if (!lm_head.is_same(embedding)) all.push_back(lm_head);
  for (const LayerWeights& layer : layers) {
    for (at::Tensor& tensor : layer.tensors()) all.push_back(std::move(tensor));
  }
  return all;
}

std::int64_t Weights::bytes() const {
  std::int64_t sum = 0;
  for (const at::Tensor& t : tensors()) sum += static_cast<std::int64_t>(t.nbytes());
  return sum;
}

Weights load_weights(const Checkpoint& checkpoint, at::Device device, at::ScalarType dtype,
                     const ProgressCallback& on_progress) {
  const ModelConfig& config = checkpoint.config();
  check_tensors(config, checkpoint.tensors(), checkpoint.path());
  const std::vector<TensorSpec> table = tensor_table(config);
  if (device.is_cpu()) check_memory(table, dtype, read_host().memory, checkpoint.path());
  Weights weights = allocate(config, at::TensorOptions().device(device).dtype(dtype));
  const std::int64_t total = weights.bytes();
  std::int64_t done = 0;
  for (const TensorSpec& spec : table) {
    if (on_progress &&
        !on_progress({.stage = "reading weights", .done = done, .total = total, .unit = "bytes"})) {
      throw Error({.code = "run.interrupted", .file = checkpoint.path(), .where = "reading weights"});
    }
    const at::Tensor target = place_of(spec, weights, config);
    load_tensor(checkpoint, *checkpoint.find(spec.name), target);
    done += static_cast<std::int64_t>(target.nbytes());
  }
  for (LayerWeights& layer : weights.layers) layer.drop_zero_biases();
  if (on_progress) on_progress({.stage = "reading weights", .done = total, .total = total, .unit = "bytes"});
  return weights;
}

std::unique_ptr<LayerReader> HeldWeights::read_layers() const {
  return std::make_unique<HeldLayers>(weights_.layers);
}

at::Tensor HeldWeights::embed(const at::Tensor& ids) const {
  const at::Tensor& table = weights_.embedding;
  if (!table.is_cpu()) return table.index({ids.to(table.device())});
  const at::Tensor rows = scratch({ids.size(0), table.size(1)}, table.options());
  const size_t bytes = static_cast<size_t>(table.size(1)) * table.element_size();
  const auto* const from = static_cast<const std::byte*>(table.const_data_ptr());
  auto* const to = static_cast<std::byte*>(rows.mutable_data_ptr());
  const auto* const wanted = ids.const_data_ptr<std::int64_t>();
  for (size_t i = 0; i < static_cast<size_t>(ids.size(0)); ++i)
    std::memcpy(to + i * bytes, from + static_cast<size_t>(wanted[i]) * bytes, bytes);
  return rows;
}

at::Tensor HeldWeights::to_vocabulary(const at::Tensor& x) const {
  return apply_linear(x, weights_.lm_head);
}

}  // namespace safetylock
