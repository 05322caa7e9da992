#include <chrono>

#include "base/sha256.h"
#include "formats/model_folder.h"
#include "model/causal_lm_impl.h"
#include "pipeline/reply_sequences.h"
#include "safetylock/head_activations.h"
#include "safetylock/version.h"

namespace safetylock {
namespace {

using LayerVisitor = std::function<void(std::int64_t layer, const at::Tensor& values)>;

struct Prepared {
  PrefixTree tree;
  ActivationRows rows;
};

Prepared prepare(const CausalLM& model, const std::vector<PromptPair>& pairs, const CollectOptions& options) {
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
  return {.tree = build_prefix_tree(sequences),
          .rows = {.labels = at::tensor(labels, at::kLong),
                   .groups = at::tensor(groups, at::kLong),
                   .positions = at::tensor(positions, at::kLong)}};
}

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
  const PackedBatch& batch = prepared.tree.batch;
  const std::int64_t layers = model.config().num_hidden_layers;
  const auto lock = model.default_interventions();
  const Steering steering = lock ? Steering(*lock, batch.requests, 1, model.dtype()) : Steering();
  const DecoderPass pass(impl.decoder, batch, steering, impl.registry->snapshot());
  const at::Tensor kept = prepared.tree.kept_rows.to(model.device());
  at::Tensor x = pass.embed();
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    report(options, layer, layers);
    const at::Tensor z = pass.head_outputs(layer, x);
    const at::Tensor values = z.index_select(0, kept);
    check_finite(values, "head outputs of layer " + std::to_string(layer));
    visit(layer, values);
    if (layer + 1 < layers) x = pass.after_attention(layer, x, z);
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
  return prepare(model, pairs, options).rows;
}

ActivationRows for_each_layer(const CausalLM& model, const std::vector<PromptPair>& pairs,
                              const CollectOptions& options, const LayerVisitor& visit) {
  const Prepared prepared = prepare(model, pairs, options);
  translating_torch_errors([&] { visit_layers(model, prepared, options, visit); });
  return prepared.rows;
}

HeadActivations collect_head_activations(const CausalLM& model, const std::vector<PromptPair>& pairs,
                                         const CollectOptions& options) {
  const Prepared prepared = prepare(model, pairs, options);
  const ModelConfig& c = model.config();
  HeadActivations result;
  result.rows = prepared.rows;
  result.tokens = prepared.tree.batch.rows();
  result.values = at::empty(
      {prepared.tree.kept_rows.size(0), c.num_hidden_layers, c.num_attention_heads, c.head_dim}, at::kFloat);
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
