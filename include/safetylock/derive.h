// From head activations to a SafetyLock: step 5 of the method.
#pragma once

#include <cstdint>
#include <vector>

#include "safetylock/head_activations.h"
#include "safetylock/lock.h"
#include "safetylock/probes.h"
#include "safetylock/ranking_evidence.h"

namespace safetylock {

/// As rank_heads on tensors.
std::vector<HeadScore> rank_heads(const HeadActivations& activations, const RankOptions& options = {});

/// As judge_ranking on tensors.
RankingEvidence judge_ranking(const HeadActivations& activations, const std::vector<HeadScore>& ranking,
                              const EvidenceOptions& options = {});

struct DeriveOptions {
  std::int64_t num_heads = 24;       ///< K; 1 <= K <= L*H
  double default_alpha = 6.0;        ///< stored in the lock
  std::string protocol = "grouped";  ///< how `ranking` was made; stored in the lock
  std::uint64_t seed = 0;            ///< as above
};

/// The K best heads of `ranking` with their mean-difference directions and sigmas over all rows.
SafetyLock derive_lock(const HeadActivations& activations, const std::vector<HeadScore>& ranking,
                       const DeriveOptions& options = {});

}  // namespace safetylock
