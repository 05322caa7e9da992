// From harmful and harmless requests to a gate: a probe that tells a lock when to act. What is read, what is
// chosen how, and what it means: docs/gate.md.
//
// Thread rule: free functions; they use at::parallel_for inside. With another number of threads results
// differ by rounding.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/gate.h"
#include "safetylock/progress.h"
#include "safetylock/prompt_data.h"

namespace safetylock {

/// Head outputs at the positions that a gate can read. N: prompts, or prompts times openings of replies.
struct GateActivations {
  std::vector<GatePosition> positions;  ///< P of them, which every prompt has; of replies only that
  at::Tensor values;  ///< [N, P, L, H, D] float32 on the CPU; means over a position's tokens
  at::Tensor labels;  ///< [N] int64: 1 harmful, 0 harmless
  at::Tensor groups;  ///< [N] int64: prompts of one topic have one number
  std::string prompts_digest;
  double seconds = 0;       ///< spent in the forward passes
  std::int64_t tokens = 0;  ///< tokens computed, shared prefixes once
};

/// Beginnings of replies that go along with a request, the same for harmful and harmless ones: what a gate of
/// replies learns to tell apart is the request, not whether the model agrees.
std::vector<std::string> reply_openings();

struct GateCollectOptions {
  std::string system = {};  ///< system prompt; empty: the template's own default
  bool trust_special_tokens = false;
  ChatClock clock = {};  ///< empty: the system's
  /// Not empty: every prompt is read with each of these as the beginning of its reply, at position reply.
  std::vector<std::string> openings = {};
  ProgressCallback on_progress = {};  ///< unit "layers"
};

/// Reads all prompts layer by layer, as collect_head_activations does. Throws data.empty, data.too_long,
/// arg.prompt, num.nonfinite (layer).
GateActivations collect_gate_activations(const CausalLM& model, const std::vector<GatePrompt>& prompts,
                                         const GateCollectOptions& options = {});

struct GateOptions {
  /// The largest share of harmless requests, of topics that the probe has not seen, on which the gate may
  /// open: it sets the threshold. 0 <= rate < 1.
  double false_alarm_rate = 0.05;
  std::uint64_t seed = 0;  ///< of the folds
  std::int64_t folds = 5;  ///< of the outer cross-validation; at least 2
  /// What is tried: every number of heads (as far as there are so many) with every C, for each set of
  /// positions.
  std::vector<std::int64_t> num_heads = {8, 24, 64};
  std::vector<double> C = {0.3, 1, 3};
  /// Positions behind the message's end are as good on the base itself, but there fine-tuning moves the
  /// scores most (docs/gate.md): they are not tried unless asked for.
  std::vector<std::vector<GatePosition>> positions = {{GatePosition::message},
                                                      {GatePosition::message_end},
                                                      {GatePosition::message, GatePosition::message_end}};
  ProgressCallback on_progress = {};  ///< unit "folds"
};

/// One way of making the gate, and how it did in cross-validation over all prompts.
struct GateCandidate {
  std::vector<GatePosition> positions;
  std::int64_t num_heads = 0;  ///< heads read, each at one position
  double C = 0;
  double auc = 0;       ///< area under the ROC curve, on topics not trained on
  double log_loss = 0;  ///< in nats a prompt
};

struct DerivedGate {
  Gate gate;
  std::vector<GateCandidate> candidates;
  std::size_t chosen = 0;  ///< index into candidates
  double auc = 0;          ///< of topics that neither choice nor training has seen (nested cross-validation)
  double log_loss = 0;     ///< of the calibrated probabilities of the same
  /// [N] calibrated log-odds of each prompt from models that had not seen its topic.
  std::vector<double> scores;
};

/// Heads, positions and C are chosen by grouped cross-validation (largest AUC); threshold, calibration and
/// evidence come from an outer one around that choice. Throws data.too_few (fewer topics than folds),
/// data.single_class, gate.no_signal (unseen topics are told apart no better than by chance), arg.range,
/// num.nonfinite, run.interrupted.
DerivedGate derive_gate(const GateActivations& activations, const GateOptions& options = {});

/// Mean and standard deviation (ddof 0).
struct ScoreSpread {
  double mean = 0;
  double sd = 0;
};
/// `scores` is not empty.
ScoreSpread spread_of(const std::vector<double>& scores);

/// Log-odds [N] that `gate` gives to each prompt. Throws arg.shape when the activations lack a head or
/// position that it reads.
std::vector<double> gate_scores(const Gate& gate, const GateActivations& activations);

/// Digest of prompts, each read with each of the openings, as activations carry it.
std::string digest_of(const std::vector<GatePrompt>& prompts, const std::vector<std::string>& openings);

/// Throws gate.prompts unless `gate` was made from rows of this digest, all of them in their order: what
/// fit_gate checks, for whoever wants to know before the forward passes.
void check_gate_prompts(const Gate& gate, const std::string& digest);

/// `gate` fitted to a fine-tuned model, without labels: `tuned` are the activations there of the prompts that
/// the gate was made from, and one factor and one bias give its scores of them the mean and standard
/// deviation that they had on the base. Fine-tuning moves and narrows the scores much more than it mixes them
/// up. Throws gate.prompts (other prompts, or a gate that does not know its own), gate.drift (the spread is
/// less than a quarter or more than four times what it was: nothing that a factor could mend).
Gate fit_gate(const Gate& gate, const GateActivations& tuned);

}  // namespace safetylock
