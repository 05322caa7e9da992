#include "safetylock/derive.h"

#include <limits>

#include "safetylock/error.h"

namespace safetylock {
namespace {

void check_options(const DeriveOptions& options, std::int64_t ranked) {
  if (options.num_heads < 1 || options.num_heads > ranked) {
    throw Error({.code = "arg.range",
                 .where = "derive_lock: num_heads",
                 .expected = "1 to the " + std::to_string(ranked) + " ranked heads",
                 .found = std::to_string(options.num_heads)});
  }
  if (options.protocol != "grouped" && options.protocol != "paper") {
    throw Error({.code = "arg.protocol",
                 .where = "derive_lock: protocol",
                 .expected = "\"grouped\" or \"paper\"",
                 .found = "\"" + escape_untrusted(options.protocol, 40) + "\""});
  }
  if (options.seed > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    throw Error({.code = "arg.range",
                 .where = "derive_lock: seed",
                 .expected = "below 2^63",
                 .found = std::to_string(options.seed)});
  }
  const Strength strength(options.default_alpha);
  if (strength.is_zero() || strength.alpha() > SafetyLock::kDefaultAlphaMax) {
    throw Error({.code = "arg.alpha",
                 .where = "derive_lock: default_alpha",
                 .expected = "above 0, at most 24",
                 .found = std::to_string(options.default_alpha)});
  }
}

}  // namespace

std::vector<HeadScore> rank_heads(const HeadActivations& activations, const RankOptions& options) {
  return rank_heads(activations.values, activations.rows.labels, activations.rows.groups, options);
}

RankingEvidence judge_ranking(const HeadActivations& activations, const std::vector<HeadScore>& ranking,
                              const EvidenceOptions& options) {
  return judge_ranking(activations.values, activations.rows.labels, activations.rows.groups, ranking,
                       options);
}

SafetyLock derive_lock(const HeadActivations& activations, const std::vector<HeadScore>& ranking,
                       const DeriveOptions& options) {
  check_options(options, static_cast<std::int64_t>(ranking.size()));
  std::vector<HeadId> best;
  for (std::int64_t k = 0; k < options.num_heads; ++k) best.push_back(ranking[static_cast<size_t>(k)].id);
  std::vector<HeadDirection> heads;
  for (const MeanDifference& d :
       mean_difference_directions(activations.values, activations.rows.labels, best)) {
    heads.push_back({.id = d.id,
                     .direction = {d.direction.begin(), d.direction.end()},
                     .sigma = static_cast<float>(d.sigma),
                     .score = static_cast<float>(ranking[heads.size()].accuracy),
                     .gap = static_cast<float>(d.gap)});
  }
  LockIdentity identity = activations.provenance;
  identity.protocol = options.protocol;
  identity.seed = static_cast<std::int64_t>(options.seed);
  return {std::move(identity), std::move(heads), options.default_alpha};
}

}  // namespace safetylock
