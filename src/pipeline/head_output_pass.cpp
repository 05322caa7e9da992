#include "pipeline/head_output_pass.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/causal_lm_impl.h"
#include "model/memory_check.h"

namespace safetylock {
namespace {

/// Tokens that go through a layer at once: more are no faster.
constexpr std::int64_t kWaveTokens = 1 << 14, kSmallestWave = 1 << 10;

std::int64_t tokens_of(const std::vector<PrefixTree>& waves) {
  std::int64_t sum = 0;
  for (const PrefixTree& wave : waves) sum += wave.batch.rows();
  return sum;
}

/// What is needed beside weights and kept rows, in bytes: all tokens between two layers, and those of a wave
/// on their way through one. Products hold float32 copies of their operands.
double pass_bytes(const ModelConfig& c, const std::vector<PrefixTree>& waves, double size) {
  std::int64_t wave = 0;
  for (const PrefixTree& tree : waves) wave = std::max(wave, tree.batch.rows());
  const auto E = static_cast<double>(c.hidden_size), HD = static_cast<double>(c.attention_size()),
             GD = static_cast<double>(c.kv_size()), F = static_cast<double>(c.intermediate_size);
  const double through_attention = (HD + 2 * GD + E) * (size + 4) + 2 * HD * size;
  const double through_mlp = 5 * E * size;
  return static_cast<double>(tokens_of(waves)) * E * size +
         static_cast<double>(wave) * std::max(through_attention, through_mlp + HD * size) +
         1024 * 3 * F * (size + 4) + 2 * F * E * size;
}

}  // namespace

/// Tokens that go through a layer together.
class HeadOutputPass::Wave {
 public:
  Wave(const CausalLM::Impl& impl, const PrefixTree& tree, const Interventions* lock)
      : steering_(std::make_unique<Steering>()), kept_(tree.kept_rows.to(impl.decoder.options().device())) {
    if (lock != nullptr) {
      *steering_ = Steering(*lock, tree.batch.requests, 1, impl.decoder.dtype());
    }
    pass_ = std::make_unique<DecoderPass>(impl.decoder, tree.batch, *steering_, impl.registry->snapshot());
    x_ = pass_->embed();
  }

  /// Up to the head outputs of `layer`; those of the kept rows [n, H, D].
  at::Tensor attend(std::int64_t layer, const LayerWeights& weights) {
    z_ = pass_->head_outputs(layer, weights, x_);
    return z_.index_select(0, kept_);
  }
  at::Tensor kept_inputs() const { return x_.index_select(0, kept_); }
  /// The rest of the layer, with `shift` [H*D] or nothing added to all head outputs.
  void finish(std::int64_t layer, const LayerWeights& weights, const at::Tensor& shift) {
    if (shift.defined()) z_.add_(shift.to(z_.options()).view({1, z_.size(1), z_.size(2)}));
    x_ = pass_->after_attention(layer, weights, x_, z_);
    z_ = at::Tensor();
  }

 private:
  std::unique_ptr<Steering> steering_;  // its address must stay
  std::unique_ptr<DecoderPass> pass_;
  at::Tensor kept_, x_, z_;
};

namespace {

void report(const ProgressCallback& on_progress, std::int64_t layer, std::int64_t layers) {
  if (!on_progress) return;
  const Progress progress{.stage = "reading head outputs", .done = layer, .total = layers, .unit = "layers"};
  if (!on_progress(progress) && layer < layers) {
    throw Error({.code = "run.interrupted",
                 .where = "reading head outputs",
                 .found = std::to_string(layer) + " of " + std::to_string(layers) + " layers finished"});
  }
}

}  // namespace

HeadOutputPass::HeadOutputPass(const CausalLM& model, const std::vector<KeptSequence>& sequences,
                               size_t group, double kept_bytes_a_row, PassUse use)
    : model_(model), use_(use) {
  std::int64_t rows = 0;
  for (const KeptSequence& sequence : sequences) rows += static_cast<std::int64_t>(sequence.kept.size());
  const std::uint64_t bound = model.impl().max_memory;
  const double kept = static_cast<double>(rows) * kept_bytes_a_row;
  const auto size = static_cast<double>(c10::elementSize(model.dtype()));
  for (std::int64_t wave = kWaveTokens;; wave /= 2) {
    waves_ = build_prefix_trees(sequences, group, wave);
    const double needed =
        pass_bytes(model.config(), waves_, size) + kept +
        // All must be there before any goes on.
        (use == PassUse::shifting ? static_cast<double>(tokens() * model.config().attention_size()) * size
                                  : 0) +
        (model.streamed() ? static_cast<double>(model.impl().decoder.weights->bytes_held()) : 0);
    if (wave > kSmallestWave && !has_room(bound, needed)) continue;
    check_room(bound, needed, "head outputs of " + std::to_string(tokens()) + " tokens",
               "Allow more memory, or read fewer pairs");
    return;
  }
}

std::int64_t HeadOutputPass::tokens() const {
  return tokens_of(waves_);
}

void HeadOutputPass::run(
    const ProgressCallback& on_progress,
    const std::function<void(std::int64_t layer, const at::Tensor& values)>& visit) const {
  each_layer(on_progress,
             [&](std::int64_t layer, const LayerWeights&, std::vector<Wave>&,
                 const at::Tensor& values) -> at::Tensor {
               visit(layer, values);
               return {};
             });
}

void HeadOutputPass::run_shifted(const ProgressCallback& on_progress,
                                 const std::function<at::Tensor(const KeptRows& rows)>& shift) const {
  TORCH_INTERNAL_ASSERT(use_ == PassUse::shifting);
  each_layer(on_progress, [&](std::int64_t layer, const LayerWeights& weights, std::vector<Wave>& waves,
                              const at::Tensor& values) {
    std::vector<at::Tensor> inputs;
    for (const Wave& wave : waves) inputs.push_back(wave.kept_inputs());
    return shift({.layer = layer, .weights = weights, .x = at::cat(inputs), .values = values});
  });
}

void HeadOutputPass::each_layer(const ProgressCallback& on_progress, const LayerStep& step) const {
  translating_torch_errors([&] {
    const c10::InferenceMode inference;
    const CausalLM::Impl& impl = model_.impl();
    const std::int64_t layers = model_.config().num_hidden_layers;
    const auto lock = model_.default_interventions();
    std::vector<Wave> waves;
    for (const PrefixTree& tree : waves_) waves.emplace_back(impl, tree, lock.get());
    const auto reader = impl.decoder.weights->read_layers();
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      report(on_progress, layer, layers);
      const LayerWeights& weights = reader->next();
      std::vector<at::Tensor> values;
      const bool last = layer + 1 == layers;
      for (Wave& wave : waves) {
        values.push_back(wave.attend(layer, weights));
        if (use_ == PassUse::reading && !last) wave.finish(layer, weights, {});
      }
      const at::Tensor all = values.size() == 1 ? values.front() : at::cat(values);
      check_finite(all, "head outputs of layer " + std::to_string(layer));
      const at::Tensor shift = step(layer, weights, waves, all);
      if (use_ == PassUse::reading || last) continue;
      for (Wave& wave : waves) wave.finish(layer, weights, shift);
    }
    report(on_progress, layers, layers);
  });
}

}  // namespace safetylock
