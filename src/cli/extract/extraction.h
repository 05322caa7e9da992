// Steps 1 to 5 of the method and what speaks for their result.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/session.h"
#include "safetylock/derive.h"
#include "safetylock/derive_gate.h"
#include "safetylock/evaluate.h"
#include "safetylock/head_activations.h"
#include "safetylock/ranking_evidence.h"

namespace safetylock::cli {

struct ExtractOptions {
  std::string model, pairs, output;
  std::string gate;     ///< file of labelled prompts; empty: none
  bool reread = false;  ///< a gate of replies, too
  double gate_false_alarms = GateOptions().false_alarm_rate;
  std::int64_t max_pairs = 0;    ///< 0: all
  std::uint64_t max_memory = 0;  ///< bytes; 0: no bound
  std::int64_t seed = 0;
  std::optional<double> alpha;
  std::string protocol = "grouped";
  CollectOptions collect;
  DeriveOptions derive;
  std::int64_t permutations = EvidenceOptions().permutations;
  std::int64_t stability_rounds = EvidenceOptions().stability_rounds;
};

struct ExtractSeconds {
  double load = 0, collect = 0, rank = 0, evidence = 0, derive = 0, gate = 0, causal_check = 0, total = 0;
};

struct Extraction {
  std::int64_t pairs = 0, rows = 0, tokens = 0;
  std::int64_t layers = 0, heads_per_layer = 0;
  double pairs_per_second = 0;
  std::vector<HeadScore> ranking;  ///< of all heads; the lock's come first
  RankingEvidence evidence;
  std::optional<DerivedGate> gate, reply_gate;  ///< none unless they were asked for
  std::optional<CausalCheck> check;             ///< none for a streamed model
  ExtractSeconds seconds;

  bool passed() const noexcept { return (!check || check->passed()) && evidence.separates.value_or(true); }
  std::optional<double> p_value(const HeadScore& head) const;
  std::optional<double> top_k_share(const HeadScore& head) const;
};

/// Why a streamed model's lock has no causal check.
inline constexpr const char* kNoCausalCheck =
    "not made: it takes two more passes, and each would read the whole model again";

/// The lock is not written yet.
SafetyLock extract(Session& session, ExtractOptions options, Extraction& result);

}  // namespace safetylock::cli
