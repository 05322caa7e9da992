// The SafetyLock: K attention heads of a base model, a direction and a scale for each.
//
// Thread rule: a value type; const access from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "safetylock/gate.h"
#include "safetylock/head_id.h"
#include "safetylock/model_config.h"
#include "safetylock/strength.h"

namespace safetylock {

/// What is added to one head's output, per unit of alpha: sigma * direction.
struct HeadDirection {
  HeadId id;
  std::vector<float> direction;  ///< [D], unit norm (within 0.002)
  float sigma = 0;               ///< > 0: standard deviation of the rows' projections on the direction
  float score = 0;               ///< ranking score in [0, 1] (validation accuracy)
  float gap = 0;  ///< distance between the means of safe and unsafe rows; 0: not known (imported locks)
};

/// Where a lock comes from and what it may be applied to; stored as the file's metadata.
struct LockIdentity {
  std::string architecture;              ///< HF class of the base, e.g. "Qwen2ForCausalLM"
  std::int64_t num_hidden_layers = 0;    ///< L
  std::int64_t num_attention_heads = 0;  ///< H
  std::int64_t num_key_value_heads = 0;  ///< G
  std::int64_t head_dim = 0;             ///< D
  std::int64_t hidden_size = 0;          ///< E
  std::string base_model;                ///< a name for people; decides nothing
  std::string config_digest;             ///< SHA-256 of canonical_text(config)
  std::string tokenizer_digest;
  std::string template_digest;
  std::string weights_digest;  ///< SHA-256 over the base's tensors; empty if not computed
  std::string pairs_digest;
  std::string protocol;               ///< "grouped" or "paper"
  std::int64_t tokens_per_reply = 0;  ///< r
  std::int64_t seed = 0;
  std::int64_t revision = 1;
  std::string library_version;
};

/// The fields that `config` decides: architecture, dimensions, config_digest; the others as they are by
/// default.
LockIdentity identity_of(const ModelConfig& config);

/// Throws Error bind.model naming each field in which the architecture or dimensions of `config` differ from
/// the identity's.
void check_fits(const LockIdentity& identity, const ModelConfig& config);

/// The Meta-SafetyLock of the paper (section 3), immutable once made.
class SafetyLock {
 public:
  /// The largest strength a new lock allows: four times the authors'; beyond it replies fall apart.
  static constexpr double kDefaultAlphaMax = 24.0;

  /// `heads` in rank order (best first); with a gate the lock acts only where that opens. Throws Error
  /// lock.metadata (an identity that cannot be), lock.head (out of range, repeated, none), lock.vector
  /// (length, norm, NaN), lock.scale, lock.score, lock.alpha_range (unless 0 < default_alpha <= alpha_max <=
  /// Strength::kMax), lock.gate (a head outside the model or read twice, weights that are not finite or all
  /// 0, a threshold outside (0, 1), a gate of replies without one of prompts).
  SafetyLock(LockIdentity identity, std::vector<HeadDirection> heads, double default_alpha = 6.0,
             double alpha_max = kDefaultAlphaMax, std::optional<Gate> gate = {},
             std::optional<Gate> reply_gate = {});

  /// Reads NAME.lock.safetensors (docs/lock-format.md). Throws Error st.*, lock.* : any damaged bit is
  /// refused.
  static SafetyLock load(const std::string& path);
  /// As above from bytes; `file` labels errors.
  static SafetyLock from_bytes(std::string_view bytes, const std::string& file);
  /// Writes the file atomically; equal locks give equal bytes. Throws io.write.
  void save(const std::string& path) const;
  std::string to_bytes() const;

  const LockIdentity& identity() const noexcept { return identity_; }
  std::span<const HeadDirection> heads() const noexcept { return heads_; }
  Strength default_strength() const { return Strength(default_alpha_); }
  double alpha_max() const noexcept { return alpha_max_; }
  /// When the lock acts; nothing: always.
  const std::optional<Gate>& gate() const noexcept { return gate_; }
  /// Reads the replies to requests on which the gate stayed closed; nothing: the prompt alone decides.
  const std::optional<Gate>& reply_gate() const noexcept { return reply_gate_; }
  /// The same heads under other gates, or under none.
  SafetyLock with_gate(std::optional<Gate> gate, std::optional<Gate> reply_gate = {}) const;
  /// `alpha` as a strength of this lock. Throws Error arg.alpha above alpha_max, and where Strength does.
  Strength strength(double alpha) const;
  /// SHA-256 over tensors and metadata.
  const std::string& content_digest() const noexcept { return content_digest_; }

  /// Layers that hold at least one locked head, ascending.
  std::vector<std::int64_t> layers() const;
  /// Displacement of the concatenated head outputs of `layer` per unit of alpha: [H*D], sum over the layer's
  /// locked heads of sigma * direction at the head's place, zero elsewhere (method step 6).
  std::vector<float> displacement(std::int64_t layer) const;
  /// W_o times displacement(layer) for `o_proj`, row-major [E, H*D]: what to add after o_proj, per unit of
  /// alpha [E]. Accumulated in double. Throws arg.shape when o_proj does not have E * H*D values.
  std::vector<float> output_bias(std::int64_t layer, std::span<const float> o_proj) const;

  /// As the function of that name.
  void check_fits(const ModelConfig& config) const { safetylock::check_fits(identity_, config); }

 private:
  LockIdentity identity_;
  std::vector<HeadDirection> heads_;
  double default_alpha_;
  double alpha_max_;
  std::optional<Gate> gate_, reply_gate_;
  std::string content_digest_;
};

}  // namespace safetylock
