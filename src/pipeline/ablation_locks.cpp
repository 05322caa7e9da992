#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "safetylock/ablation.h"
#include "safetylock/derive.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

struct Rows {
  at::Tensor values;  // [n, L, H, D]
  at::Tensor labels;  // [n]
  at::Tensor groups;  // [n]
};

/// The last `tokens` rows of each reply, or their mean.
Rows rows_of(const HeadActivations& activations, std::int64_t tokens, RowKind kind) {
  const ActivationRows& all = activations.rows;
  const std::int64_t* label = all.labels.const_data_ptr<std::int64_t>();
  const std::int64_t* group = all.groups.const_data_ptr<std::int64_t>();
  const std::int64_t count = all.labels.size(0);
  std::vector<std::int64_t> kept, last_of_reply;
  std::vector<at::Tensor> means;
  for (std::int64_t begin = 0, end = 0; begin < count; begin = end) {
    while (end < count && label[end] == label[begin] && group[end] == group[begin]) ++end;
    const std::int64_t first = std::max(begin, end - tokens);
    for (std::int64_t row = first; row < end; ++row) kept.push_back(row);
    last_of_reply.push_back(end - 1);
    if (kind == RowKind::mean)
      means.push_back(activations.values.narrow(0, first, end - first).mean(0, false, at::kDouble));
  }
  const at::Tensor index = at::tensor(kind == RowKind::mean ? last_of_reply : kept, at::kLong);
  const bool everything = kind == RowKind::token && index.size(0) == count;
  return {.values = kind == RowKind::mean ? at::stack(means).to(at::kFloat)
                    : everything          ? activations.values
                                          : activations.values.index_select(0, index),
          .labels = all.labels.index_select(0, index),
          .groups = all.groups.index_select(0, index)};
}

/// Without a score.
std::vector<HeadDirection> directions_of(const Rows& rows, DirectionKind kind,
                                         const std::vector<HeadId>& heads, const ProbeOptions& options) {
  std::vector<HeadDirection> out;
  const auto add = [&](const auto& d) {
    out.push_back({.id = d.id,
                   .direction = {d.direction.begin(), d.direction.end()},
                   .sigma = static_cast<float>(d.sigma)});
  };
  if (kind == DirectionKind::mean_difference) {
    for (const MeanDifference& d : mean_difference_directions(rows.values, rows.labels, heads)) add(d);
  } else {
    for (const ProbeDirection& d : probe_weight_directions(rows.values, rows.labels, heads, options)) add(d);
  }
  return out;
}

double norm_of_sigmas(const std::vector<HeadDirection>& heads) {
  double squares = 0;
  for (const HeadDirection& head : heads) squares += std::pow(static_cast<double>(head.sigma), 2);
  return std::sqrt(squares);
}

void level_sigmas(std::vector<HeadDirection>& heads) {
  const double level = norm_of_sigmas(heads) / std::sqrt(static_cast<double>(heads.size()));
  for (HeadDirection& head : heads) head.sigma = static_cast<float>(level);
}

void check(const HeadActivations& activations, const std::vector<AblationVariant>& variants,
           const AblationOptions& options) {
  const auto refuse = [](const char* where, std::string expected, std::string found) {
    throw Error({.code = "arg.range",
                 .where = std::string("derive_variants: ") + where,
                 .expected = std::move(expected),
                 .found = std::move(found)});
  };
  if (variants.empty()) refuse("variants", "at least the reference", "none");
  const std::int64_t most_tokens = activations.provenance.tokens_per_reply;
  const std::int64_t most_heads = activations.values.size(1) * activations.values.size(2);
  for (const AblationVariant& v : variants) {
    if (v.tokens < 1 || v.tokens > most_tokens)
      refuse("tokens", "1 to the " + std::to_string(most_tokens) + " collected", std::to_string(v.tokens));
    if (v.num_heads < 1 || v.num_heads > most_heads) {
      refuse("num_heads", "1 to the model's " + std::to_string(most_heads) + " heads",
             std::to_string(v.num_heads));
    }
  }
  const Strength alpha(options.alpha);
  if (alpha.is_zero() || alpha.alpha() > SafetyLock::kDefaultAlphaMax)
    refuse("alpha", "above 0, at most 24", std::to_string(options.alpha));
}

class VariantMaker {
 public:
  VariantMaker(const HeadActivations& activations, const AblationOptions& options, std::int64_t rankings)
      : activations_(activations), options_(options), rankings_(rankings) {}

  VariantLock make(const AblationVariant& variant, const AblationVariant& reference) {
    const Kind& kind = kind_of(variant);
    VariantLock lock{.variant = variant, .heads = {}};
    std::vector<HeadId> ids;
    for (std::int64_t k = 0; k < variant.num_heads; ++k)
      ids.push_back(kind.ranking[static_cast<size_t>(k)].id);
    lock.heads = directions_of(kind.rows, variant.direction, ids, options_.rank.probe);
    for (size_t k = 0; k < ids.size(); ++k) {
      lock.heads[k].score = static_cast<float>(kind.ranking[k].accuracy);
      lock.accuracy += kind.ranking[k].accuracy / static_cast<double>(ids.size());
    }
    compare(lock, ids, reference);
    if (!variant.sigma) level_sigmas(lock.heads);
    return lock;
  }

 private:
  // What variants of one r and kind of rows have in common.
  struct Kind {
    Rows rows;
    std::vector<HeadScore> ranking;
  };

  const Kind& kind_of(const AblationVariant& variant) {
    const auto key = std::pair(variant.tokens, variant.rows);
    const auto found = kinds_.find(key);
    if (found != kinds_.end()) return found->second;
    Rows rows = rows_of(activations_, variant.tokens, variant.rows);
    RankOptions rank = options_.rank;
    if (rank.on_progress) rank.on_progress = [this](const Progress& progress) { return report(progress); };
    std::vector<HeadScore> ranking = rank_heads(rows.values, rows.labels, rows.groups, rank);
    ++ranked_;
    return kinds_.emplace(key, Kind{std::move(rows), std::move(ranking)}).first->second;
  }

  void compare(VariantLock& lock, const std::vector<HeadId>& ids, const AblationVariant& reference) {
    const Kind& usual = kind_of(reference);
    const std::vector<HeadDirection> same_heads =
        directions_of(usual.rows, reference.direction, ids, options_.rank.probe);
    lock.cosine_min = 1;
    for (size_t k = 0; k < ids.size(); ++k) {
      const std::vector<float>&a = lock.heads[k].direction, &b = same_heads[k].direction;
      const double cosine = std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
      lock.cosine += cosine / static_cast<double>(ids.size());
      lock.cosine_min = std::min(lock.cosine_min, cosine);
      lock.shared += std::any_of(usual.ranking.begin(), usual.ranking.begin() + reference.num_heads,
                                 [&](const HeadScore& score) { return score.id == ids[k]; });
    }
  }

  // All rankings are one job.
  bool report(Progress progress) const {
    progress.stage = "ranking heads for the variants";
    progress.done += ranked_ * progress.total;
    progress.total *= rankings_;
    return options_.rank.on_progress(progress);
  }

  const HeadActivations& activations_;
  const AblationOptions& options_;
  std::int64_t rankings_, ranked_ = 0;
  std::map<std::pair<std::int64_t, RowKind>, Kind> kinds_;
};

}  // namespace

std::vector<VariantLock> derive_variants(const HeadActivations& activations,
                                         const std::vector<AblationVariant>& variants,
                                         const AblationOptions& options) {
  check(activations, variants, options);
  std::map<std::pair<std::int64_t, RowKind>, int> kinds;
  for (const AblationVariant& v : variants) kinds[{v.tokens, v.rows}] = 1;
  VariantMaker maker(activations, options, static_cast<std::int64_t>(kinds.size()));
  std::vector<VariantLock> locks;
  for (const AblationVariant& variant : variants) locks.push_back(maker.make(variant, variants.front()));
  const double push = options.alpha * norm_of_sigmas(locks.front().heads);
  for (VariantLock& lock : locks) {
    const double unit = norm_of_sigmas(lock.heads);
    lock.alpha = options.match_push ? push / unit : options.alpha;
    lock.push = lock.alpha * unit;
  }
  return locks;
}

}  // namespace safetylock
