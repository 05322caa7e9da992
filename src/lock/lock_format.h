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
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace safetylock::lock_format {

constexpr std::string_view kFormat = "safetylock";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kDigestPrefix =
    "safetylock lock 1\n";  ///< first bytes of what content_digest is taken of

/// Every one of them is there, and no other. In the order of the file.
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

constexpr std::uint64_t kMaxHeaderBytes = 1024 * 1024;
constexpr std::uint64_t kMaxFileBytes = 64 * 1024 * 1024;
constexpr size_t kMaxTextBytes = 1024;           ///< of one metadata value
constexpr std::int64_t kMaxDimension = 1 << 20;  ///< of L, H, G, D and E
constexpr double kNormTolerance = 0.002;         ///< of a direction; imported float16 ones are within it
constexpr float kMaxSigma = 1e4F;                ///< of sigmas and gaps

}  // namespace safetylock::lock_format
