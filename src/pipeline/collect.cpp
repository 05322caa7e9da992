#include <chrono>

#include "model/causal_lm_impl.h"
#include "pipeline/head_output_pass.h"
#include "pipeline/provenance.h"
#include "pipeline/reply_sequences.h"
#include "safetylock/head_activations.h"

namespace safetylock {
namespace {

using LayerVisitor = std::function<void(std::int64_t layer, const at::Tensor& values)>;

/// Safe and unsafe reply of a pair share its question.
constexpr size_t kRepliesAPair = 2;

struct Prepared {
  std::vector<KeptSequence> sequences;
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
  Prepared prepared;
  std::vector<std::int64_t> labels, groups, positions;
  for (size_t i = 0; i < pairs.size(); ++i) {
    for (const bool safe : {true, false}) {
      prepared.sequences.push_back(encode_reply(model, pairs[i], safe, i, options));
      for (const std::int64_t position : prepared.sequences.back().kept) {
        labels.push_back(safe ? 1 : 0);
        groups.push_back(static_cast<std::int64_t>(i));
        positions.push_back(position);
      }
    }
  }
  prepared.rows = {.labels = at::tensor(labels, at::kLong),
                   .groups = at::tensor(groups, at::kLong),
                   .positions = at::tensor(positions, at::kLong)};
  return prepared;
}

}  // namespace

ActivationRows activation_rows(const CausalLM& model, const std::vector<PromptPair>& pairs,
                               const CollectOptions& options) {
  return prepare(model, pairs, options).rows;
}

ActivationRows for_each_layer(const CausalLM& model, const std::vector<PromptPair>& pairs,
                              const CollectOptions& options, const LayerVisitor& visit) {
  const Prepared prepared = prepare(model, pairs, options);
  HeadOutputPass(model, prepared.sequences, kRepliesAPair, 0).run(options.on_progress, visit);
  return prepared.rows;
}

HeadActivations collect_head_activations(const CausalLM& model, const std::vector<PromptPair>& pairs,
                                         const CollectOptions& options) {
  const ModelConfig& c = model.config();
  const std::int64_t values_a_row = c.num_hidden_layers * c.attention_size();
  const Prepared prepared = prepare(model, pairs, options);
  const HeadOutputPass pass(model, prepared.sequences, kRepliesAPair,
                            static_cast<double>(values_a_row) * sizeof(float));
  HeadActivations result;
  result.rows = prepared.rows;
  result.tokens = pass.tokens();
  result.values = at::empty(
      {prepared.rows.labels.size(0), c.num_hidden_layers, c.num_attention_heads, c.head_dim}, at::kFloat);
  const auto begin = std::chrono::steady_clock::now();
  pass.run(options.on_progress, [&](std::int64_t layer, const at::Tensor& values) {
    result.values.select(1, layer).copy_(values);
  });
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.provenance = provenance_of(model, pairs, options);
  return result;
}

}  // namespace safetylock
