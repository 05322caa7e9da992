// NAME.lock.safetensors on one page; docs/lock-format.md explains it.
//
// A safetensors file in canonical form. Letters: K locked heads, D head_dim.
//   layers      I64 [K]     0-based layer of each locked head, best head first
//   heads       I64 [K]     0-based query head
//   directions  F32 [K, D]  unit rows
//   sigmas      F32 [K]     standard deviation of the rows' projections on the direction
//   gaps        F32 [K]     distance between the means of safe and unsafe rows; 0 where it is not known
//   scores      F32 [K]     ranking score in [0, 1]
//   sketch      F32 [0]     kept for a sketch of the family's weights
// and for a conditional lock, Kg reads of its gate:
//   gate_layers     I64 [Kg]     0-based layer of each head that is read
//   gate_heads      I64 [Kg]     0-based query head
//   gate_positions  I64 [Kg]     0 last token, 1 template tail, 2 message, 3 message end (GatePosition)
//   gate_weights    F32 [Kg, D]  of the calibrated log-odds
//   gate_bias       F32 [1]
// and the same as reply_gate_* for one that reads replies, whose positions are all 4.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace safetylock::lock_format {

constexpr std::string_view kFormat = "safetylock";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kDigestPrefix =
    "safetylock lock 1\n";  ///< first bytes of what content_digest is taken of

/// Every one of them is there, and no other but those of a gate. In the order of the file.
inline constexpr std::array kMetadataKeys = {"alpha",
                                             "alpha_max",
                                             "architecture",
                                             "base_model",
                                             "config_digest",
                                             "content_digest",
                                             "format",
                                             "head_dim",
                                             "heads",
                                             "hidden_size",
                                             "kv_heads",
                                             "layers",
                                             "library_version",
                                             "pairs_digest",
                                             "protocol",
                                             "revision",
                                             "seed",
                                             "template_digest",
                                             "tokenizer_digest",
                                             "tokens_per_reply",
                                             "version",
                                             "weights_digest"};

inline constexpr std::array kTensors = {"directions", "gaps",   "heads", "layers",
                                        "scores",     "sigmas", "sketch"};

/// Behind a prefix. All of them are there, or none.
inline constexpr std::array kGateKeys = {"false_alarms",   "harmful",    "harmless", "missed",
                                         "prompts_digest", "score_mean", "score_sd", "threshold"};
inline constexpr std::array kGateTensors = {"bias", "heads", "layers", "positions", "weights"};
constexpr std::string_view kGatePrefix = "gate_";
constexpr std::string_view kReplyGatePrefix = "reply_gate_";

constexpr std::uint64_t kMaxHeaderBytes = 1024 * 1024;
constexpr std::uint64_t kMaxFileBytes = 64 * 1024 * 1024;
constexpr size_t kMaxTextBytes = 1024;           ///< of one metadata value
constexpr std::int64_t kMaxDimension = 1 << 20;  ///< of L, H, G, D and E
constexpr double kNormTolerance = 0.002;         ///< of a direction; imported float16 ones are within it
constexpr float kMaxSigma = 1e4F;                ///< of sigmas and gaps
constexpr float kMaxGateWeight = 1e6F;           ///< size of a gate's weights and bias

}  // namespace safetylock::lock_format
