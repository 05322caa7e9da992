// What the report shows, as plain values: the result files of the other commands, read and checked.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace safetylock::report {

/// A share of n with its 95 % interval. n is 0 where nothing was counted.
struct Rate {
  std::int64_t count = 0;
  std::int64_t n = 0;
  double value = 0, low = 0, high = 1;
};

/// A mean over n with its 95 % interval.
struct Mean {
  std::int64_t n = 0;
  double value = 0, low = 0, high = 0;
};

enum class Outcome { answered, refused, degenerate };
const char* to_string(Outcome outcome) noexcept;

struct Reply {
  std::string prompt, reply;
  std::optional<Outcome> outcome;        ///< nothing where only margins were measured
  std::optional<double> refusal_margin;  ///< nothing where a server does not tell
  std::optional<double> judge_score;
};

enum class Kind { harmful, benign, lookalikes };
inline constexpr std::array kKinds = {Kind::harmful, Kind::benign, Kind::lookalikes};
const char* key_of(Kind kind) noexcept;    ///< as the files spell it
const char* title_of(Kind kind) noexcept;  ///< "Harmful prompts" ...

template <typename T>
class PerKind {
 public:
  std::optional<T>& operator[](Kind kind) noexcept { return values_[static_cast<size_t>(kind)]; }
  const std::optional<T>& operator[](Kind kind) const noexcept { return values_[static_cast<size_t>(kind)]; }

 private:
  std::array<std::optional<T>, kKinds.size()> values_;
};

/// One set of prompts, answered by one model.
struct PromptSet {
  Rate answered, refused, degenerate;  ///< n is 0 when only margins were measured
  Rate refuses_first;
  Mean refusal_margin;
  std::optional<Mean> judge_score;    ///< 1 to 5
  std::optional<Rate> judge_harmful;  ///< a score of 5
  std::optional<Mean> base_perplexity, distinct_2;
  std::optional<Rate> early_end;
  std::optional<Rate> gate_opened;  ///< of the prompts that a gate was asked about
  std::optional<double> seconds;
  std::vector<Reply> replies;  ///< in the order of the prompts
};

struct Utility {
  std::optional<Mean> perplexity;
  std::optional<Rate> choices;
};

struct Run {
  PerKind<PromptSet> sets;
  std::optional<Utility> utility;
  std::optional<double> seconds;
  std::optional<std::int64_t> tokens_generated;
};

struct McNemar {
  std::int64_t unlocked_only = 0, locked_only = 0;
  double p = 1;
};

struct SetComparison {
  std::optional<McNemar> answered, refused, degenerate;
  std::optional<Mean> margin_shift;
};

struct Comparison {
  PerKind<SetComparison> sets;
  std::optional<Mean> kl;  ///< nats a token
  std::optional<double> perplexity_ratio;
  std::optional<McNemar> choices;
};

/// A lock as a result file names it.
struct LockName {
  std::string path, digest;
  std::optional<double> alpha;
  std::optional<std::int64_t> heads;
};

/// Where numbers come from: the file, and what it says of its making.
struct Source {
  std::string file;    ///< its name without the folder, escaped
  std::string schema;  ///< "safetylock.evaluate/2"
  std::string sha256;
  std::vector<std::pair<std::string, std::string>> fields;  ///< settings, digests, versions, seeds, dates
};

struct HeadPlace {
  std::int64_t layer = 0, head = 0;
  auto operator<=>(const HeadPlace&) const = default;
};

struct Evaluation {
  Source source;
  std::string model;
  std::optional<std::string> adapter;
  std::optional<LockName> lock;
  std::optional<Run> unlocked, locked;
  std::optional<Comparison> comparison;
  std::optional<double> seconds, apply_seconds;
};

struct ScoredHead {
  HeadPlace place;
  double accuracy = 0, ci_low = 0, ci_high = 0, auc = 0;
  std::optional<double> p_permutation, top_k_share;
};

struct MarginShift {
  Mean harmful, benign;
  bool passed = false;
};

struct NamedNumber {
  std::string name;
  double value = 0;
};

struct Extraction {
  Source source;
  std::string model;
  LockName lock;
  std::int64_t layers = 0, heads_per_layer = 0;  ///< 0: the file scores the lock's heads alone (extract/1)
  std::vector<ScoredHead> ranking;               ///< every head, best first; or the lock's
  std::vector<HeadPlace> chosen;                 ///< the lock's, best first
  std::optional<MarginShift> causal_check;
  std::vector<NamedNumber> seconds;   ///< by step
  std::vector<NamedNumber> evidence;  ///< "permutation.rounds" ...
  std::optional<bool> separates;      ///< the best head beats labels that mean nothing
  double pairs_per_second = 0;
};

struct TransferHead {
  HeadPlace place;
  bool locked = false;
  double cosine = 0, cosine_low = 0, cosine_high = 0, sigma_ratio = 0, kl = 0;
};

struct Spread {
  double mean = 0, sd = 0, low = 0, high = 0, min = 0, max = 0;
};

struct TransferSummary {
  Spread cosine, sigma_ratio, kl;
};

struct DensityPair {
  std::vector<double> safe, unsafe;
};

/// Densities of one head's projection on the lock's direction, on one evenly spaced grid.
struct Density {
  HeadPlace place;
  double from = 0, to = 0;
  std::optional<DensityPair> base, tuned, locked;
};

struct Transfer {
  Source source;
  std::string base, tuned;
  std::optional<std::string> adapter;
  LockName lock;
  std::int64_t layers = 0, heads_per_layer = 0;
  std::vector<TransferHead> heads;
  TransferSummary locked, all;
  std::vector<Density> densities;
  std::vector<NamedNumber> thresholds, evidence;  ///< by dotted names
  std::string verdict;                            ///< pass, warn or refuse
  std::vector<std::string> reasons;
  std::optional<double> seconds;
};

struct Cell {
  std::int64_t heads = 0;
  double alpha = 0;
  std::optional<double> share_of_heads, alpha_gap;
  std::optional<double> threshold;  ///< from which the gate opens; nothing: always locked
  PromptSet harmful, benign;
  std::optional<PromptSet> lookalikes;
  std::optional<Mean> kl;
  bool meets = false;
};

struct Sweep {
  Source source;
  std::string model;
  LockName lock;
  double max_answered = 0, max_over_refusal = 0;
  std::optional<double> max_kl;
  Cell unlocked;
  std::vector<Cell> cells;
  std::optional<size_t> chosen;
};

}  // namespace safetylock::report
