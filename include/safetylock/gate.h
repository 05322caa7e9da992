// When a lock acts: a probe that reads, at the end of a request's prompt, whether the request is harmful, and
// maybe another that reads the beginning of the reply.
//
// Thread rule: value types and free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "safetylock/head_id.h"

namespace safetylock {

/// How many tokens of a reply a gate of replies reads at most, the mean of those so far after each of them.
constexpr std::int64_t kReplyGateTokens = 8;

/// Which tokens a head is read at. More than one token: their mean.
enum class GatePosition : std::int64_t {
  last_token = 0,     ///< the token from which the reply is begun
  template_tail = 1,  ///< what the chat template writes behind the last message of the user
  message = 2,        ///< the tokens of the last message of the user
  message_end = 3,    ///< the token behind that message, which in most templates ends the turn
  reply = 4,          ///< the first tokens of the reply; of a gate of replies alone, which reads nothing else
};
/// "last_token", "template_tail", "message", "message_end", "reply".
const char* to_string(GatePosition position) noexcept;

/// One head's share of the probe.
struct GateHead {
  HeadId id;
  GatePosition position = GatePosition::last_token;
  std::vector<float> weights;  ///< [D]
};

/// What the probe said of requests whose topics it had not been trained on.
struct GateEvidence {
  std::int64_t harmful = 0;       ///< harmful requests
  std::int64_t missed = 0;        ///< of which it was closed on so many
  std::int64_t harmless = 0;      ///< harmless requests
  std::int64_t false_alarms = 0;  ///< of which it opened on so many
  /// Scores of all of them, by the probe trained on all of them, on the model it was made on.
  double mean = 0;
  double sd = 0;  ///< > 0; 0: not known
};

/// The score of a request is bias + sum over heads of weights . (the head's output at its position): the
/// log-odds of being harmful, calibrated. The gate opens where their probability reaches `threshold`.
struct Gate {
  std::vector<GateHead> heads;  ///< by layer, head and position
  float bias = 0;
  double threshold = 0.5;  ///< a probability, above 0 and below 1
  GateEvidence evidence = {};
  std::string prompts_digest;  ///< SHA-256 of the prompts it was made from, or empty
};

/// log(p / (1 - p)); 0 < p < 1.
double log_odds(double probability);
/// 1 / (1 + exp(-score)).
double probability_of(double log_odds);

/// How a score becomes a share of the lock's strength.
struct GateRule {
  double threshold = 0.5;  ///< the probability from which on the lock acts in full; above 0 and below 1
  /// Log-odds below the threshold over which the share rises from 0 to 1, in a straight line. 0: on or off.
  double ramp = 0;
};

/// What a gate said of one request.
struct GateReading {
  double score = 0;      ///< log-odds; not finite where the gate could not be read
  double share = 0;      ///< of the lock's strength that the request gets, 0 to 1
  bool readable = true;  ///< false: a position is missing or a value is not finite; the lock is then on
  /// Tokens of the reply that had been written when the gate of replies opened, and were taken back; 0 where
  /// the prompt opened the gate, or nothing did.
  std::int64_t reply_tokens = 0;
  std::optional<double> reply_score = {};  ///< largest log-odds of the gate of replies, where it was asked

  bool opened() const noexcept { return share > 0; }
  double probability() const { return probability_of(score); }
};

/// Fails closed: a score that is not finite gets the whole strength.
GateReading read_score(double score, const GateRule& rule);

/// Throws Error arg.gate unless the threshold lies in (0, 1) and the ramp in [0, 100].
void check_rule(const GateRule& rule);

}  // namespace safetylock
