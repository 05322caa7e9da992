// What ablate prints.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/session.h"
#include "safetylock/ablation.h"

namespace safetylock::cli {

/// A model that the locks were tried on.
struct AblationTarget {
  std::string adapter;  ///< empty: the base itself
  AblationEffects effects;
  double seconds = 0;
};

struct Ablation {
  std::string model, pairs, harmful, benign;  ///< files
  std::string pairs_digest;
  std::int64_t pair_count = 0, max_new_tokens = 0;
  std::uint64_t seed = 0;
  bool match_push = true;
  std::vector<VariantLock> locks;  ///< the reference first
  std::vector<AblationTarget> targets;
  double collect_seconds = 0, derive_seconds = 0;
};

/// What is not as in the reference, e.g. "tokens 1, sigma off"; "reference" for the reference itself.
std::string variant_label(const AblationVariant& variant, const AblationVariant& reference);

/// safetylock.ablate/1.
Json ablation_json(const Ablation& ablation);
std::string ablation_report(const Session& session, const Ablation& ablation);

}  // namespace safetylock::cli
