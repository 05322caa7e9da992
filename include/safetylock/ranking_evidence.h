// How far a ranking of heads may be believed: against labels that mean nothing, against other questions, and
// against the paper's protocol.
//
// Thread rule: free functions; they use at::parallel_for inside. Results do not depend on the number of
// threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "safetylock/probes.h"

namespace safetylock {

/// The rankings that `values` give when the labels mean nothing. In each round a seeded coin a question
/// decides whether its safe and unsafe replies change places: what belongs to a question stays together, as
/// in the grouped splits, and the splits are those of rank_heads.
struct PermutationBaseline {
  std::int64_t rounds = 0;            ///< R
  std::vector<double> top_accuracy;   ///< [R] accuracy of the best head of each round
  std::vector<double> mean_accuracy;  ///< [R] mean over heads; far from 0.5: the protocol leaks
  double top_quantile_95 = 0;         ///< of top_accuracy

  /// How often labels that mean nothing give some head that is at least as good, the observed ranking counted
  /// as one of the R + 1: never below 1 / (R + 1). Corrected for having looked at all heads (Westfall and
  /// Young 1993, single-step max T; Phipson and Smyth 2010).
  double p_value(double accuracy) const;
};

/// `options` as those of the rank_heads whose accuracies are to be judged. Costs about as much as `rounds`
/// rankings. Throws as rank_heads; arg.range for rounds below 1; data.single_class when a question has rows
/// of one class only.
PermutationBaseline permutation_baseline(const at::Tensor& values, const at::Tensor& labels,
                                         const at::Tensor& groups, const RankOptions& options,
                                         std::int64_t rounds);

/// Do other questions give the same K best heads? Each round ranks on two random halves of the questions that
/// share none, as rank_heads would (complementary pairs: Shah and Samworth 2013).
struct TopHeadStability {
  std::int64_t rounds = 0;
  std::int64_t k = 0;
  double mean_jaccard = 0;    ///< of the K best of either half: shared / (2 K - shared), mean over rounds
  double chance_jaccard = 0;  ///< its expectation for two random sets of K heads
  double mean_shared = 0;     ///< heads among the K best of both halves
  double chance_shared = 0;   ///< K^2 / (L H)
  std::vector<double>
      share;  ///< [L*H] by layer, then head: in how many of the 2 * rounds halves it was in the K best
};

/// Costs about as much as `rounds` rankings. Throws as rank_heads; data.too_few below 8 questions; arg.range
/// for rounds below 1 or k outside [1, L*H].
TopHeadStability top_head_stability(const at::Tensor& values, const at::Tensor& labels,
                                    const at::Tensor& groups, const RankOptions& options, std::int64_t k,
                                    std::int64_t rounds);

/// What a split by row makes of heads that a split by question has judged.
struct ProtocolComparison {
  std::int64_t k = 0;
  double grouped_accuracy = 0;  ///< of the K chosen heads: validation accuracy, split by question
  double paper_accuracy = 0;    ///< what protocol paper says of the same heads: mean of train and validation
  double row_split_accuracy = 0;  ///< its validation part alone
  double leak = 0;                ///< row_split_accuracy - grouped_accuracy
  double leak_of_all_heads = 0;   ///< the same over all heads, which were not chosen by either accuracy
  std::int64_t shared = 0;        ///< heads among the K best of both rankings
};

/// `grouped` and `paper` rank the same heads under either protocol; the chosen heads are the first k of
/// `chosen`, one of the two. Throws arg.shape unless both hold the same heads, arg.range for k outside them.
ProtocolComparison compare_protocols(const std::vector<HeadScore>& grouped,
                                     const std::vector<HeadScore>& paper,
                                     const std::vector<HeadScore>& chosen, std::int64_t k);

struct EvidenceOptions {
  RankOptions rank = {};              ///< as the ranking to be judged was made
  std::int64_t k = 24;                ///< heads of the lock
  std::int64_t permutations = 20;     ///< 0: none. Below 19 rounds no p value reaches 0.05
  std::int64_t stability_rounds = 5;  ///< 0: none
};

struct RankingEvidence {
  std::optional<PermutationBaseline> permutation;
  std::optional<TopHeadStability> stability;
  ProtocolComparison protocols;
  /// Mean over heads and rounds of what protocol paper scores on labels that mean nothing; grouped gives 0.5.
  std::optional<double> paper_on_shuffled_labels;
  /// The best head beats the permutation baseline: p of at most 0.05. Nothing without one.
  std::optional<bool> separates;
};

/// Everything above for `ranking`, which rank_heads made from the same tensors and options.rank. Without a
/// stability where there are fewer than 8 questions. Throws as the functions above.
RankingEvidence judge_ranking(const at::Tensor& values, const at::Tensor& labels, const at::Tensor& groups,
                              const std::vector<HeadScore>& ranking, const EvidenceOptions& options = {});

}  // namespace safetylock
