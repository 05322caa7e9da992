#include "safetylock/transfer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "analysis/statistics.h"
#include "pipeline/transfer_parts.h"
#include "safetylock/apply.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

at::Tensor resample_weights(std::int64_t questions, const TransferOptions& options) {
  const auto units = static_cast<size_t>(questions), count = static_cast<size_t>(options.resamples);
  const BootstrapResamples draws(units, count, options.seed);
  at::Tensor weights = at::empty({options.resamples, questions}, at::kDouble);
  double* out = weights.mutable_data_ptr<double>();
  for (size_t b = 0; b < count; ++b) {
    for (const std::uint32_t times : draws.multiplicities(b)) *out++ = times;
  }
  return weights;
}

Interval interval_of(const at::Tensor& statistics) {
  const at::Tensor local = statistics.contiguous();
  const double* data = local.const_data_ptr<double>();
  std::vector<double> values(data, data + local.numel());
  return central_interval(values);
}

/// `values` [M], `resamples` [B, M]. Drawing questions again adds noise of its own, which makes two models
/// look less alike than they are; so the resamples are moved until their median is what was measured.
Spread spread_of(const at::Tensor& values, const at::Tensor& resamples) {
  const at::Tensor means = resamples.mean(1);
  const Interval interval = interval_of(means - means.quantile(0.5) + values.mean());
  return {.mean = values.mean().item<double>(),
          .sd = values.std(0, false, false).item<double>(),
          .low = interval.low,
          .high = interval.high,
          .min = values.min().item<double>(),
          .max = values.max().item<double>()};
}

std::vector<double> density(const at::Tensor& masses, const DensityGrid& grid) {
  const at::Tensor shares = (masses / masses.sum() / grid.width()).contiguous();
  const double* data = shares.const_data_ptr<double>();
  return {data, data + shares.numel()};
}

HeadDensities::Curves curves(const at::Tensor& projections, const QuestionRows& rows,
                             const DensityGrid& grid) {
  const at::Tensor masses = class_masses(projections, rows, grid).sum(1);
  return {.safe = density(masses[1], grid), .unsafe = density(masses[0], grid)};
}

class Comparison {
 public:
  Comparison(const BaseProfile::Impl& base, const CausalLM& tuned)
      : base_(base), tuned_(tuned), collect_(base.collect_options("tuned")) {
    const ActivationRows rows = activation_rows(tuned, base.pairs, collect_);
    rows_ = question_rows(rows.labels, rows.groups);
    for (const HeadDirection& head : base.lock.heads())
      ranks_.emplace(head.id, static_cast<std::int64_t>(ranks_.size()) + 1);
  }

  Transfer run() {
    compare();
    Transfer result{.layers = tuned_.config().num_hidden_layers,
                    .heads_per_layer = tuned_.config().num_attention_heads,
                    .questions = base_.rows.questions,
                    .rows = base_.rows.label.numel(),
                    .pairs_digest = digest_of(base_.pairs),
                    .heads = std::move(heads_)};
    std::vector<std::int64_t> locked;
    for (const auto& [id, rank] : ranks_) locked.push_back(id.layer * result.heads_per_layer + id.head);
    const at::Tensor everything = at::arange(static_cast<std::int64_t>(result.heads.size()), at::kLong);
    result.locked = summary(at::tensor(locked, at::kLong));
    result.all = summary(everything);
    result.densities = densities();
    result.evidence = evidence(result);
    result.judgement = judge_transfer(result.evidence);
    return result;
  }

 private:
  bool wants_density(const HeadId& id) const {
    const auto rank = ranks_.find(id);
    return rank != ranks_.end() && rank->second <= base_.options.density_heads;
  }

  void compare() {
    const at::Tensor weights = resample_weights(base_.rows.questions, base_.options);
    SeparationVotes votes(base_.lock, rows_);
    std::vector<LayerSimilarity> layers;
    for_each_layer(tuned_, base_.pairs, collect_, [&](std::int64_t layer, const at::Tensor& values) {
      const auto at = static_cast<size_t>(layer);
      const LayerSide side{.profile = profile_layer(values, rows_),
                           .projections = project_rows(values, base_.references[at])};
      votes.add(layer, side.profile);
      layers.push_back(compare_layers(base_.layers[at], base_.rows, side, rows_, weights));
      add_heads(layer, side, layers.back());
    });
    separation_ = votes.rate();
    const auto join = [&](at::Tensor LayerSimilarity::*member) {
      std::vector<at::Tensor> parts;
      for (const LayerSimilarity& layer : layers) parts.push_back(layer.*member);
      return at::cat(parts, -1);
    };
    for (LayerSimilarity& layer : layers) layer.cosines = layer.cosines.diagonal();
    cosines_ = {join(&LayerSimilarity::cosines), join(&LayerSimilarity::cosine_resamples)};
    sigma_ratios_ = {join(&LayerSimilarity::sigma_ratios), join(&LayerSimilarity::sigma_ratio_resamples)};
    divergences_ = {join(&LayerSimilarity::divergences), join(&LayerSimilarity::divergence_resamples)};
  }

  void add_heads(std::int64_t layer, const LayerSide& side, const LayerSimilarity& similarity) {
    const at::Tensor best = similarity.cosines.amax(1);
    for (std::int64_t h = 0; h < tuned_.config().num_attention_heads; ++h) {
      const Interval interval = interval_of(similarity.cosine_resamples.select(1, h));
      HeadTransfer head{.id = {layer, h},
                        .cosine = similarity.cosines[h][h].item<double>(),
                        .cosine_low = interval.low,
                        .cosine_high = interval.high,
                        .sigma_ratio = similarity.sigma_ratios[h].item<double>(),
                        .kl = similarity.divergences[h].item<double>(),
                        .nearest = h,
                        .nearest_cosine = best[h].item<double>()};
      if (head.cosine < head.nearest_cosine)
        head.nearest = similarity.cosines[h].argmax().item<std::int64_t>();
      if (const auto rank = ranks_.find(head.id); rank != ranks_.end()) {
        head.rank = rank->second;
        const auto at = static_cast<size_t>(layer);
        const at::Tensor direction = base_.references[at][h] / base_.references[at][h].norm();
        head.lock_cosine_base = direction.dot(base_.layers[at].profile.directions[h]).item<double>();
        head.lock_cosine_tuned = direction.dot(side.profile.directions[h]).item<double>();
        if (wants_density(head.id)) projections_.emplace(head.id, side.projections.select(1, h).clone());
      }
      heads_.push_back(head);
    }
  }

  TransferSummary summary(const at::Tensor& heads) const {
    const auto spread = [&](const std::pair<at::Tensor, at::Tensor>& values) {
      return spread_of(values.first.index_select(0, heads), values.second.index_select(1, heads));
    };
    return {.cosine = spread(cosines_), .sigma_ratio = spread(sigma_ratios_), .kl = spread(divergences_)};
  }

  /// The first heads' projections in the tuned model with the lock on.
  std::map<HeadId, at::Tensor> locked_projections() const {
    std::map<HeadId, at::Tensor> out;
    const AppliedLock applied = apply_lock(tuned_, base_.lock, {.conditional = false});
    const double alpha = base_.lock.default_strength().alpha();
    const CollectOptions collect = base_.collect_options("tuned, locked");
    for_each_layer(tuned_, base_.pairs, collect, [&](std::int64_t layer, const at::Tensor& values) {
      for (const HeadDirection& head : base_.lock.heads()) {
        if (head.id.layer != layer || !wants_density(head.id)) continue;
        const at::Tensor direction = direction_tensor(head);
        const double own = alpha * static_cast<double>(head.sigma) * direction.dot(direction).item<double>();
        const at::Tensor rows = values.narrow(1, head.id.head, 1);
        out.emplace(head.id, project_rows(rows, direction.unsqueeze(0)).squeeze(1) + own);
      }
    });
    return out;
  }

  std::vector<HeadDensities> densities() const {
    std::vector<HeadDensities> out;
    if (base_.options.density_heads == 0) return out;
    const std::map<HeadId, at::Tensor> locked = locked_projections();
    for (const HeadDirection& head : base_.lock.heads()) {
      if (!wants_density(head.id)) break;
      const auto layer = static_cast<size_t>(head.id.layer);
      const at::Tensor base = base_.layers[layer].projections.select(1, head.id.head);
      const at::Tensor &tuned = projections_.at(head.id), &held = locked.at(head.id);
      DensityGrid grid = covering_grid({base, tuned, held});
      grid.cells = kDensityPoints;
      out.push_back({.id = head.id,
                     .from = grid.from,
                     .to = grid.to,
                     .base = curves(base, base_.rows, grid),
                     .tuned = curves(tuned, rows_, grid),
                     .locked = curves(held, rows_, grid)});
    }
    return out;
  }

  double own_numbers(const Transfer& result) const {
    std::map<std::int64_t, double> own;  // of the layers that hold locked heads
    for (const auto& [id, rank] : ranks_) own[id.layer] = 0;
    for (const HeadTransfer& head : result.heads) {
      if (const auto layer = own.find(head.id.layer); layer != own.end() && head.nearest == head.id.head)
        layer->second += 1;
    }
    double least = 1;
    for (const auto& [layer, count] : own)
      least = std::min(least, count / static_cast<double>(result.heads_per_layer));
    return least;
  }

  TransferEvidence evidence(const Transfer& result) const {
    TransferEvidence e{.cosine = result.locked.cosine.mean,
                       .cosine_low = result.locked.cosine.low,
                       .own_numbers = own_numbers(result),
                       .sigma_change = 1,
                       .kl = result.locked.kl.mean,
                       .separation_base = base_.separation,
                       .separation_tuned = separation_,
                       .lock_cosine = 0};
    const auto count = static_cast<double>(ranks_.size());
    double log_change = 0;
    for (const HeadTransfer& head : result.heads) {
      if (!head.rank) continue;
      e.lock_cosine += *head.lock_cosine_base / count;
      log_change += std::abs(std::log(head.sigma_ratio)) / count;
    }
    e.sigma_change = std::exp(log_change);
    const LockIdentity& id = base_.lock.identity();
    e.lock_pairs = id.pairs_digest == result.pairs_digest && id.tokens_per_reply == base_.tokens_per_reply;
    e.base_differs = base_.differs;
    e.tokenizer_differs = tuned_.tokenizer().digest() != base_.tokenizer_digest ||
                          tuned_.chat_template().source() != base_.template_source;
    return e;
  }

  const BaseProfile::Impl& base_;
  const CausalLM& tuned_;
  CollectOptions collect_;
  QuestionRows rows_;
  std::map<HeadId, std::int64_t> ranks_;
  std::vector<HeadTransfer> heads_;
  std::map<HeadId, at::Tensor> projections_;  // [N] of the heads that get densities
  std::pair<at::Tensor, at::Tensor> cosines_, sigma_ratios_, divergences_;  // [L*H] and [B, L*H]
  Rate separation_;
};

}  // namespace

Transfer measure_transfer(const BaseProfile& base, const CausalLM& tuned) {
  const auto begin = std::chrono::steady_clock::now();
  check_transfer_model(tuned, base.impl().lock, "tuned");
  Transfer result = Comparison(base.impl(), tuned).run();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  result.seconds = base.impl().seconds + elapsed.count();
  return result;
}

Transfer measure_transfer(const CausalLM& base, const CausalLM& tuned, const SafetyLock& lock,
                          const std::vector<PromptPair>& pairs, const TransferOptions& options) {
  check_transfer_model(tuned, lock, "tuned");
  return measure_transfer(BaseProfile(base, lock, pairs, options), tuned);
}

}  // namespace safetylock
