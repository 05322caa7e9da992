// Which choice of the method does the work? Locks that differ from a reference in one choice (or in all
// combinations), how their heads and directions compare, and what each does to a model.
//
// Thread rule: free functions; the model must not be locked by others meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "safetylock/evaluate.h"
#include "safetylock/head_activations.h"
#include "safetylock/lock.h"
#include "safetylock/probes.h"

namespace safetylock {

enum class DirectionKind {
  mean_difference,  ///< mean of safe rows - mean of unsafe rows: the method's
  probe_weight,     ///< the weights of the head's probe, trained on all rows
};
enum class RowKind {
  token,  ///< each kept token is a row: the method's
  mean,   ///< the kept tokens of a reply are averaged to one row
};
/// The tokens at which the lock acts. Every token belongs to one side: "reply" are those whose logits choose
/// a token of the reply, that is the prompt's last and all generated ones, "prompt" those before. So the
/// first token of a reply feels either phase: directly, or through what it reads of the prompt. (Which tokens
/// the rows are read from is no such choice: before the reply, safe and unsafe sequences are the same.)
enum class Phase { both, prompt, reply };

const char* to_string(DirectionKind kind) noexcept;
const char* to_string(RowKind kind) noexcept;
const char* to_string(Phase phase) noexcept;

struct AblationVariant {
  std::int64_t tokens = 5;      ///< r
  std::int64_t num_heads = 24;  ///< K
  /// false: all heads of the lock get the same scale, the root mean square of their sigmas, so that the norm
  /// of the whole displacement stays.
  bool sigma = true;
  DirectionKind direction = DirectionKind::mean_difference;
  RowKind rows = RowKind::token;
  Phase phase = Phase::both;

  bool operator==(const AblationVariant&) const = default;
};

/// What to try. The reference has of each list the method's value (AblationVariant's default), or the first
/// where the list is without it.
struct AblationFactors {
  std::vector<std::int64_t> tokens = {1, 3, 5, 10};
  std::vector<std::int64_t> num_heads = {12, 24, 48};
  std::vector<bool> sigma = {true, false};
  std::vector<DirectionKind> directions = {DirectionKind::mean_difference, DirectionKind::probe_weight};
  std::vector<RowKind> rows = {RowKind::token, RowKind::mean};
  std::vector<Phase> phases = {Phase::both, Phase::prompt, Phase::reply};
};

/// The reference, then what differs from it in one factor. No variant twice. Throws arg.range for an empty
/// list and for tokens or num_heads below 1.
std::vector<AblationVariant> one_factor_at_a_time(const AblationFactors& factors);
/// The reference, then all other combinations. Throws as above.
std::vector<AblationVariant> full_grid(const AblationFactors& factors);

struct AblationOptions {
  RankOptions rank = {};
  double alpha = 6;  ///< of the reference; above 0, at most SafetyLock::kDefaultAlphaMax
  /// All variants push as far as the reference: alpha is scaled until the norm of the whole displacement in
  /// head space, alpha * sqrt(sum of sigma^2), is the reference's. false: all have the same alpha.
  bool match_push = true;
};

/// The heads of one variant and how they compare with the reference's.
struct VariantLock {
  AblationVariant variant;
  std::vector<HeadDirection> heads;  ///< [K] best first; sigma as applied
  double alpha = 0;
  double push = 0;      ///< alpha * sqrt(sum of sigma^2)
  double accuracy = 0;  ///< mean over its heads of the grouped validation accuracy, on rows of its own kind
  std::int64_t shared = 0;  ///< heads that the reference has too
  double cosine = 0;        ///< mean over its heads, to the direction that the reference gives the same head
  double cosine_min = 0;
};

/// One lock for each of `variants`, of which the first is the reference; in their order. `activations` were
/// collected with the largest r. Throws arg.range (no variants, r above the activations' own, K above L*H,
/// alpha), and as rank_heads and mean_difference_directions.
std::vector<VariantLock> derive_variants(const HeadActivations& activations,
                                         const std::vector<AblationVariant>& variants,
                                         const AblationOptions& options = {});

struct VariantEffect {
  Evaluation harmful, benign;
  Mean harmful_shift, benign_shift;  ///< refusal margins minus the unlocked ones, paired by prompt
};

struct AblationEffects {
  Evaluation harmful, benign;           ///< without a lock
  std::vector<VariantEffect> variants;  ///< in the order of the locks
};

/// Every lock on `model`, which must carry none. With options.margin_only one forward pass a prompt and lock.
/// Progress counts the prompts of the whole job. Throws data.empty, arg.*, lock.state, bind.model,
/// num.nonfinite, run.interrupted; arg.usage when a lock that acts in one phase only would have to be
/// followed across the original context of a longrope model.
AblationEffects measure_variants(
    const CausalLM& model, const std::vector<VariantLock>& locks, const std::vector<std::string>& harmful,
    const std::vector<std::string>& benign, const EvaluateOptions& options = {.margin_only = true},
    const std::function<void(size_t lock, const VariantEffect&)>& on_variant = {});

}  // namespace safetylock
