#include "safetylock/restore.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/kernels/linear.h"
#include "model/kernels/rms_norm.h"
#include "pipeline/head_output_pass.h"
#include "pipeline/provenance.h"
#include "pipeline/reply_sequences.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

/// A distance below this share of the stream's size is rounding: the two models are one.
constexpr double kRounding = 1e-6;

CollectOptions collect_options(const RestoreOptions& options) {
  return {.tokens_per_reply = options.reply_tokens,
          .system = options.system,
          .trust_special_tokens = options.trust_special_tokens,
          .clock = options.clock,
          .on_progress = options.on_progress};
}

void check(const CausalLM& model, const std::vector<PromptPair>& pairs, const RestoreOptions& options) {
  if (pairs.empty())
    throw Error({.code = "data.empty", .where = "pairs", .expected = "at least one pair", .found = "none"});
  if (options.reply_tokens < 1) {
    throw Error({.code = "arg.range",
                 .where = "reply_tokens",
                 .expected = "at least 1",
                 .found = std::to_string(options.reply_tokens)});
  }
  if (!(options.ridge > 0 && std::isfinite(options.ridge))) {
    throw Error({.code = "arg.range",
                 .where = "ridge",
                 .expected = "a number above 0",
                 .found = std::to_string(options.ridge)});
  }
  if (model.default_interventions()) {
    throw Error({.code = "arg.locked",
                 .where = "restore",
                 .expected = "a model without a lock",
                 .found = "one that carries a lock"});
  }
}

HeadOutputPass pass_over(const CausalLM& model, const std::vector<PromptPair>& pairs,
                         const RestoreOptions& options) {
  const CollectOptions collect = collect_options(options);
  std::vector<KeptSequence> sequences;
  for (size_t i = 0; i < pairs.size(); ++i)
    sequences.push_back(encode_reply_opening(model, pairs[i], i, options.reply_tokens, collect));
  return {model, sequences, 1, 0, PassUse::shifting};
}

/// The attention's part of a layer, for kept rows: what it adds to the stream.
class AttentionOutput {
 public:
  AttentionOutput(const ModelConfig& config, const KeptRows& rows)
      : sandwich_(config.sandwich_norm),
        rule_{.eps = config.rms_norm_eps, .unit_offset = config.unit_offset_norm},
        rows_(rows),
        written_(apply_linear(rows.values.flatten(1), rows.weights.o_proj, rows.weights.o_proj_bias)) {}

  /// [E] float64 on the CPU: mean of the stream behind the attention, with `shift` [H*D] or nothing added to
  /// the head outputs.
  at::Tensor mean(const at::Tensor& shift) const {
    at::Tensor out = written_;
    if (shift.defined()) {
      out = apply_linear((rows_.values.flatten(1) + shift.to(rows_.values.options())), rows_.weights.o_proj,
                         rows_.weights.o_proj_bias);
    }
    if (sandwich_) out = rms_norm(out, rows_.weights.attn_output_norm, rule_);
    return mean_of(rows_.x) + mean_of(out);
  }

  /// [E, H*D] float64 on the CPU: how the stream's mean follows a shift. With a norm behind W_o, by the mean
  /// of what that multiplies by: a small shift hardly changes it.
  at::Tensor slope() const {
    const at::Tensor w = rows_.weights.o_proj.to(at::kCPU, at::kDouble);
    if (!sandwich_) return w;
    const at::Tensor inverse = (written_.to(at::kDouble).square().mean(1) + rule_.eps).rsqrt().mean();
    at::Tensor scale = rows_.weights.attn_output_norm.to(at::kDouble) * inverse;
    if (rule_.unit_offset) scale = scale + inverse;
    return w * scale.to(at::kCPU).unsqueeze(1);
  }

 private:
  static at::Tensor mean_of(const at::Tensor& rows) { return rows.to(at::kDouble).mean(0).to(at::kCPU); }

  bool sandwich_;
  NormRule rule_;
  const KeptRows& rows_;
  at::Tensor written_;
};

/// The x that minimises |slope x - gap|^2 + ridge * mean eigenvalue * |x|^2.
at::Tensor ridge_solution(const at::Tensor& slope, const at::Tensor& gap, double ridge) {
  const at::Tensor gram = slope.mm(slope.t());
  const at::Tensor penalty = gram.diagonal().mean() * ridge;
  gram.diagonal().add_(penalty);
  const at::Tensor lower = at::linalg_cholesky(gram);
  return slope.t().mv(at::cholesky_solve(gap.unsqueeze(1), lower).squeeze(1));
}

void add_heads(std::vector<HeadDirection>& heads, std::int64_t layer, const at::Tensor& shift,
               const ModelConfig& config) {
  const at::Tensor rows = shift.view({config.num_attention_heads, config.head_dim}).contiguous();
  for (std::int64_t head = 0; head < config.num_attention_heads; ++head) {
    const double size = rows[head].norm().item<double>();
    const auto sigma = static_cast<float>(size);
    if (!(sigma > std::numeric_limits<float>::min())) continue;
    const at::Tensor unit = (rows[head] / size).to(at::kFloat).contiguous();
    const float* values = unit.const_data_ptr<float>();
    heads.push_back({.id = {layer, head}, .direction = {values, values + config.head_dim}, .sigma = sigma});
  }
}

void check_same_reading(const OpeningMeans& base, const std::vector<PromptPair>& pairs,
                        const RestoreOptions& options) {
  const std::string digest = digest_of(pairs);
  if (base.identity.pairs_digest == digest && base.identity.tokens_per_reply == options.reply_tokens) return;
  const auto said = [](std::int64_t tokens, const std::string& sha) {
    return std::to_string(tokens) + " tokens of pairs with SHA-256 " + sha.substr(0, 16) + "...";
  };
  throw Error({.code = "restore.pairs",
               .where = "restore_lock",
               .expected = "what the base was read on: " +
                           said(base.identity.tokens_per_reply, base.identity.pairs_digest),
               .found = said(options.reply_tokens, digest)});
}

}  // namespace

OpeningMeans read_opening_means(const CausalLM& model, const std::vector<PromptPair>& pairs,
                                const RestoreOptions& options) {
  check(model, pairs, options);
  const ModelConfig& c = model.config();
  OpeningMeans means{.values = at::empty({c.num_hidden_layers, c.hidden_size}, at::kDouble),
                     .identity = provenance_of(model, pairs, collect_options(options))};
  pass_over(model, pairs, options).run_shifted(options.on_progress, [&](const KeptRows& rows) {
    means.values[rows.layer].copy_(AttentionOutput(c, rows).mean({}));
    return at::Tensor();
  });
  return means;
}

RestoredLock restore_lock(const CausalLM& tuned, const OpeningMeans& base,
                          const std::vector<PromptPair>& pairs, const RestoreOptions& options) {
  check(tuned, pairs, options);
  const ModelConfig& c = tuned.config();
  check_fits(base.identity, c);
  check_same_reading(base, pairs, options);
  std::vector<LayerGap> layers;
  std::vector<HeadDirection> heads;
  bool differ = false;
  pass_over(tuned, pairs, options).run_shifted(options.on_progress, [&](const KeptRows& rows) {
    const AttentionOutput attention(c, rows);
    const at::Tensor wanted = base.values[rows.layer];
    const at::Tensor gap = wanted - attention.mean({});
    const at::Tensor shift = ridge_solution(attention.slope(), gap, options.ridge);
    layers.push_back({.before = gap.norm().item<double>(),
                      .after = (wanted - attention.mean(shift)).norm().item<double>()});
    differ = differ || layers.back().before > kRounding * wanted.norm().item<double>();
    add_heads(heads, rows.layer, shift, c);
    return shift;
  });
  if (!differ || heads.empty()) {
    throw Error({.code = "restore.no_drift",
                 .where = "restore_lock",
                 .expected = "a fine-tuned model that differs from its base",
                 .found = "the same mean in all layers",
                 .hint = "Is the fine-tuned model the base, or its adapter missing?"});
  }
  std::stable_sort(heads.begin(), heads.end(),
                   [](const HeadDirection& a, const HeadDirection& b) { return a.sigma > b.sigma; });
  LockIdentity identity = base.identity;
  identity.protocol = "restored";
  return {.lock = SafetyLock(std::move(identity), std::move(heads), options.default_alpha),
          .layers = std::move(layers)};
}

}  // namespace safetylock
