#include <algorithm>
#include <chrono>

#include "base/sha256.h"
#include "formats/model_folder.h"
#include "model/causal_lm_impl.h"
#include "model/memory_check.h"
#include "pipeline/reply_sequences.h"
#include "safetylock/head_activations.h"
#include "safetylock/version.h"

namespace safetylock {
namespace {

using LayerVisitor = std::function<void(std::int64_t layer, const at::Tensor& values)>;

/// Tokens that go through a layer at once: more are no faster.
constexpr std::int64_t kWaveTokens = 1 << 14, kSmallestWave = 1 << 10;

struct Prepared {
  std::vector<PrefixTree> waves;
  ActivationRows rows;

  std::int64_t tokens() const {
    std::int64_t sum = 0;
    for (const PrefixTree& wave : waves) sum += wave.batch.rows();
    return sum;
  }
};

/// What is needed beside weights and kept rows, in bytes: all tokens between two layers, and those of a wave
/// on their way through one. Products hold float32 copies of their operands.
double pass_bytes(const ModelConfig& c, const Prepared& prepared, double size) {
  std::int64_t wave = 0;
  for (const PrefixTree& tree : prepared.waves) wave = std::max(wave, tree.batch.rows());
  const auto E = static_cast<double>(c.hidden_size), HD = static_cast<double>(c.attention_size()),
             GD = static_cast<double>(c.kv_size()), F = static_cast<double>(c.intermediate_size);
  const double through_attention = (HD + 2 * GD + E) * (size + 4) + 2 * HD * size;
  const double through_mlp = 5 * E * size;
  return static_cast<double>(prepared.tokens()) * E * size +
         static_cast<double>(wave) * std::max(through_attention, through_mlp + HD * size) +
         1024 * 3 * F * (size + 4) + 2 * F * E * size;
}

/// `kept_bytes_a_row`: what the caller keeps of a row.
Prepared prepare(const CausalLM& model, const std::vector<PromptPair>& pairs, const CollectOptions& options,
                 double kept_bytes_a_row) {
  if (pairs.empty())
    throw Error({.code = "data.empty", .where = "pairs", .expected = "at least one pair", .found = "none"});
  if (options.tokens_per_reply < 1) {
    throw Error({.code = "arg.range",
                 .where = "tokens_per_reply",
                 .expected = "at least 1",
                 .found = std::to_string(options.tokens_per_reply)});
  }
  std::vector<ReplySequence> sequences;
  std::vector<std::int64_t> labels, groups, positions;
  for (size_t i = 0; i < pairs.size(); ++i) {
    for (const bool safe : {true, false}) {
      sequences.push_back(encode_reply(model, pairs[i], safe, i, options));
      for (const std::int64_t position : sequences.back().kept) {
        labels.push_back(safe ? 1 : 0);
        groups.push_back(static_cast<std::int64_t>(i));
        positions.push_back(position);
      }
    }
  }
  Prepared prepared{.waves = {},
                    .rows = {.labels = at::tensor(labels, at::kLong),
                             .groups = at::tensor(groups, at::kLong),
                             .positions = at::tensor(positions, at::kLong)}};
  const std::uint64_t bound = model.impl().max_memory;
  const double kept = static_cast<double>(labels.size()) * kept_bytes_a_row;
  const auto size = static_cast<double>(c10::elementSize(model.dtype()));
  for (std::int64_t wave = kWaveTokens;; wave /= 2) {
    prepared.waves = build_prefix_trees(sequences, wave);
    const double needed =
        pass_bytes(model.config(), prepared, size) + kept +
        (model.streamed() ? static_cast<double>(model.impl().decoder.weights->bytes_held()) : 0);
    if (wave > kSmallestWave && !has_room(bound, needed)) continue;
    check_room(bound, needed, "head outputs of " + std::to_string(prepared.tokens()) + " tokens",
               "Allow more memory, or read fewer pairs");
    return prepared;
  }
}

/// Tokens that go through a layer together.
class Wave {
 public:
  Wave(const CausalLM::Impl& impl, const PrefixTree& tree, const Interventions* lock)
      : steering_(std::make_unique<Steering>()), kept_(tree.kept_rows.to(impl.decoder.options().device())) {
    if (lock != nullptr) {
      *steering_ =
          Steering(*lock, tree.batch.requests, 1, c10::typeMetaToScalarType(impl.decoder.options().dtype()));
    }
    pass_ = std::make_unique<DecoderPass>(impl.decoder, tree.batch, *steering_, impl.registry->snapshot());
    x_ = pass_->embed();
  }

  /// Through `layer`; the kept rows' head outputs [n, H, D].
  at::Tensor advance(std::int64_t layer, const LayerWeights& weights, bool last) {
    const at::Tensor z = pass_->head_outputs(layer, weights, x_);
    at::Tensor kept = z.index_select(0, kept_);
    if (!last) x_ = pass_->after_attention(layer, weights, x_, z);
    return kept;
  }

 private:
  std::unique_ptr<Steering> steering_;  // its address must stay
  std::unique_ptr<DecoderPass> pass_;
  at::Tensor kept_, x_;
};

void report(const CollectOptions& options, std::int64_t layer, std::int64_t layers) {
  if (!options.on_progress) return;
  const Progress progress{.stage = "reading head outputs", .done = layer, .total = layers, .unit = "layers"};
  if (!options.on_progress(progress) && layer < layers) {
    throw Error({.code = "run.interrupted",
                 .where = "reading head outputs",
                 .found = std::to_string(layer) + " of " + std::to_string(layers) + " layers finished"});
  }
}

/// All rows through one layer after the other; the last layer ends with its attention.
void visit_layers(const CausalLM& model, const Prepared& prepared, const CollectOptions& options,
                  const LayerVisitor& visit) {
  const c10::InferenceMode inference;
  const CausalLM::Impl& impl = model.impl();
  const std::int64_t layers = model.config().num_hidden_layers;
  const auto lock = model.default_interventions();
  std::vector<Wave> waves;
  for (const PrefixTree& tree : prepared.waves) waves.emplace_back(impl, tree, lock.get());
  const auto reader = impl.decoder.weights->read_layers();
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    report(options, layer, layers);
    const LayerWeights& weights = reader->next();
    std::vector<at::Tensor> values;
    for (Wave& wave : waves) values.push_back(wave.advance(layer, weights, layer + 1 == layers));
    const at::Tensor all = values.size() == 1 ? values.front() : at::cat(values);
    check_finite(all, "head outputs of layer " + std::to_string(layer));
    visit(layer, all);
  }
  report(options, layers, layers);
}

LockIdentity provenance_of(const CausalLM& model, const std::vector<PromptPair>& pairs,
                           const CollectOptions& options) {
  LockIdentity id = identity_of(model.config());
  id.base_model = model_name(model.path());
  id.tokenizer_digest = model.tokenizer().digest();
  id.template_digest = sha256_hex(model.chat_template().source());
  id.weights_digest = model.impl().weights_digest();
  id.pairs_digest = digest_of(pairs);
  id.tokens_per_reply = options.tokens_per_reply;
  id.library_version = SAFETYLOCK_VERSION;
  return id;
}

}  // namespace

ActivationRows activation_rows(const CausalLM& model, const std::vector<PromptPair>& pairs,
                               const CollectOptions& options) {
  return prepare(model, pairs, options, 0).rows;
}

ActivationRows for_each_layer(const CausalLM& model, const std::vector<PromptPair>& pairs,
                              const CollectOptions& options, const LayerVisitor& visit) {
  const Prepared prepared = prepare(model, pairs, options, 0);
  translating_torch_errors([&] { visit_layers(model, prepared, options, visit); });
  return prepared.rows;
}

HeadActivations collect_head_activations(const CausalLM& model, const std::vector<PromptPair>& pairs,
                                         const CollectOptions& options) {
  const ModelConfig& c = model.config();
  const std::int64_t values_a_row = c.num_hidden_layers * c.attention_size();
  const Prepared prepared = prepare(model, pairs, options, static_cast<double>(values_a_row) * sizeof(float));
  HeadActivations result;
  result.rows = prepared.rows;
  result.tokens = prepared.tokens();
  result.values = at::empty(
      {prepared.rows.labels.size(0), c.num_hidden_layers, c.num_attention_heads, c.head_dim}, at::kFloat);
  const auto begin = std::chrono::steady_clock::now();
  translating_torch_errors([&] {
    visit_layers(model, prepared, options, [&](std::int64_t layer, const at::Tensor& values) {
      result.values.select(1, layer).copy_(values);
    });
  });
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.provenance = provenance_of(model, pairs, options);
  return result;
}

}  // namespace safetylock
