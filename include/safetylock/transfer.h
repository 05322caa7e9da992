// May this lock go on this fine-tuned model? What the base and the tuned model show on the same pairs, head
// by head, and a verdict by calibrated thresholds (docs/transfer.md).
//
// Thread rule: free functions; the models must carry no lock and not be locked by others meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/evaluate.h"
#include "safetylock/head_activations.h"
#include "safetylock/lock.h"
#include "safetylock/prompt_data.h"

namespace safetylock {

/// A mean over heads: their spread, and the 95 % bootstrap interval of the mean over questions.
struct Spread {
  double mean = 0;
  double sd = 0;  ///< over the heads, ddof 0
  double low = 0, high = 0;
  double min = 0, max = 0;
};

/// One head of both models. A direction is what derive_lock would store: (mean of safe rows - mean of unsafe
/// rows) / its norm.
struct HeadTransfer {
  HeadId id;
  std::optional<std::int64_t> rank = {};  ///< place in the lock, 1 is the best; nothing: not locked
  /// Between the directions derived on base and tuned model; 0 where either head has none (it says the same
  /// on every row, or the same on average).
  double cosine = 0;
  double cosine_low = 0, cosine_high = 0;  ///< 95 % bootstrap interval over questions
  double sigma_ratio = 0;                  ///< sigma of the tuned model's direction by the base's
  /// KL(base || tuned) in nats of the densities of the rows' projections on the lock's direction (of a head
  /// that is not locked: on the base's), mean of safe and unsafe rows. 0 to 11.1.
  double kl = 0;
  /// Head of the tuned model's same layer whose direction is nearest to the base's, and the cosine between
  /// them; its own unless another is nearer.
  std::int64_t nearest = 0;
  double nearest_cosine = 0;
  /// Between the lock's own direction and the one derived on the base, on the tuned model; locked heads only.
  std::optional<double> lock_cosine_base = {}, lock_cosine_tuned = {};
};

struct TransferSummary {
  Spread cosine, sigma_ratio, kl;
};

inline constexpr std::int64_t kDensityPoints = 64;

/// Densities of the rows' projections on a locked head's direction, each on `points` evenly spaced centres of
/// cells between from and to. Each sums to 1 when multiplied by the cell's width.
struct HeadDensities {
  struct Curves {
    std::vector<double> safe, unsafe;  ///< [kDensityPoints], per unit of projection
  };
  HeadId id;
  double from = 0, to = 0;  ///< ends of the grid, half a cell beyond its first and last point
  Curves base, tuned;
  /// The tuned model with the lock on at its default strength, measured: the rows of a second pass, in which
  /// later heads see what earlier layers' heads were given. A head's own displacement enters the model behind
  /// o_proj, as W_o d, and not its output; alpha * sigma * |direction|^2, which is exactly what it is worth
  /// in front of o_proj, is added to the projections here.
  Curves locked;
};

/// What the verdict rests on.
struct TransferEvidence {
  double cosine = 0;      ///< mean over the locked heads
  double cosine_low = 0;  ///< lower end of its interval
  /// Share of a layer's heads, locked or not, whose `nearest` is their own: of the layers that hold locked
  /// heads, the least. 0 where a layer's heads have traded places.
  double own_numbers = 0;
  double sigma_change = 1;  ///< exp of the mean |log sigma ratio| over the locked heads; at least 1
  double kl = 0;            ///< mean over the locked heads
  /// Questions whose safe reply lies above the unsafe one, summed over the locked heads, along directions
  /// that were derived from other questions: one half by chance.
  Rate separation_base = {}, separation_tuned = {};
  double lock_cosine = 0;   ///< mean of lock_cosine_base over the locked heads
  bool lock_pairs = false;  ///< pairs and number of tokens are those that the lock was derived from
  /// What of the base differs from the lock's record of its own base: "weights", "configuration",
  /// "tokenizer". Empty: it is that base.
  std::vector<std::string> base_differs = {};
  bool tokenizer_differs = false;  ///< tuned model's from the base's, or its chat template
};

/// Calibrated on the models of docs/results/transfer-calibration.json by the rule in docs/transfer.md.
struct TransferThresholds {
  double pass_cosine = 0.9;          ///< cosine_low from here on can pass
  double refuse_cosine = 0.4;        ///< cosine below is refused
  double pass_own_numbers = 0.75;    ///< own_numbers from here on can pass
  double refuse_own_numbers = 0.28;  ///< own_numbers below is refused
  double pass_sigma_change = 1.2;    ///< sigma_change up to here can pass
  double pass_kl = 0.15;             ///< kl up to here can pass
  double pass_separation = 0.71;  ///< both separations from here on can pass; an interval from 0.5 is refused
  double lock_pairs_cosine = 0.98;  ///< lock_cosine below is refused where pairs are the lock's (by
                                    ///< reasoning: only rounding may differ)
  double other_pairs_cosine = 0.9;  ///< ... and where they are not
};

enum class TransferVerdict { pass, warn, refuse };
const char* to_string(TransferVerdict verdict) noexcept;

struct TransferJudgement {
  TransferVerdict verdict = TransferVerdict::refuse;
  std::vector<std::string> reasons;  ///< sentences, the gravest first; never empty
};
/// The worst of what each figure asks for. Not a number never passes.
TransferJudgement judge_transfer(const TransferEvidence& evidence, const TransferThresholds& thresholds = {});

struct TransferOptions {
  std::int64_t density_heads = 8;  ///< how many of the lock's first heads get densities, at most
  std::uint64_t seed = 0;          ///< of the bootstrap
  std::int64_t resamples = 1000;   ///< at least 100
  std::string system = {};         ///< as in CollectOptions
  bool trust_special_tokens = false;
  ChatClock clock = {};
  ProgressCallback on_progress = {};  ///< unit "layers"
};

struct Transfer {
  std::int64_t layers = 0, heads_per_layer = 0;
  std::int64_t questions = 0, rows = 0;  ///< rows of the base
  std::string pairs_digest;
  std::vector<HeadTransfer> heads;  ///< all, in order of HeadId
  TransferSummary locked = {}, all = {};
  std::vector<HeadDensities> densities = {};  ///< of the lock's first heads, best first
  TransferEvidence evidence = {};
  TransferJudgement judgement = {};
  double seconds = 0;  ///< of both models' passes and the comparison
};

/// What the base shows, kept while the tuned model takes its place in memory: N*L*H and 2*Q*L*H*D doubles.
class BaseProfile {
 public:
  /// Tokens a reply are the lock's. Throws bind.model (the lock does not fit), lock.state (a lock is on),
  /// arg.range, data.too_few (fewer than 4 pairs), and as for_each_layer.
  BaseProfile(const CausalLM& base, SafetyLock lock, std::vector<PromptPair> pairs,
              TransferOptions options = {});
  ~BaseProfile();
  BaseProfile(BaseProfile&&) noexcept;
  BaseProfile& operator=(BaseProfile&&) noexcept;

  struct Impl;
  const Impl& impl() const noexcept { return *impl_; }  ///< for the library's own use

 private:
  std::unique_ptr<Impl> impl_;
};

/// Runs the pairs through `tuned`, without and with the lock, and compares. Throws as BaseProfile.
Transfer measure_transfer(const BaseProfile& base, const CausalLM& tuned);
/// With both models in memory.
Transfer measure_transfer(const CausalLM& base, const CausalLM& tuned, const SafetyLock& lock,
                          const std::vector<PromptPair>& pairs, const TransferOptions& options = {});

}  // namespace safetylock
