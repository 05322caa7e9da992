#include <algorithm>
#include <cmath>
#include <set>

#include "base/sha256.h"
#include "base/utf8.h"
#include "lock/gate_fields.h"
#include "lock/lock_file.h"
#include "lock/lock_format.h"
#include "lock/strength_limit.h"
#include "safetylock/error.h"
#include "safetylock/lock.h"

namespace safetylock {
namespace {

std::string number(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g", value);
  return buffer;
}

std::string name_of(HeadId id) {
  return "layer " + std::to_string(id.layer) + ", head " + std::to_string(id.head);
}

void check_dimension(const char* key, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return;
  throw Error({"lock.metadata", "", std::string("metadata key \"") + key + "\"",
               std::to_string(low) + " to " + std::to_string(high), std::to_string(value), ""});
}

void check_text(const char* key, const std::string& value, bool may_be_empty) {
  const bool valid = value.size() <= lock_format::kMaxTextBytes && !utf8::find_invalid(value) &&
                     value.find('\0') == std::string::npos && (may_be_empty || !value.empty());
  if (valid) return;
  throw Error({"lock.metadata", "", std::string("metadata key \"") + key + "\"",
               std::string(may_be_empty ? "at most " : "1 to ") + std::to_string(lock_format::kMaxTextBytes) +
                   " bytes of UTF-8",
               "\"" + escape_untrusted(value, 60) + "\"", ""});
}

void check_sha256(const char* key, const std::string& value) {
  const bool hexadecimal = value.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (value.empty() || (value.size() == 64 && hexadecimal)) return;
  throw Error({"lock.metadata", "", std::string("metadata key \"") + key + "\"",
               "64 lower-case hexadecimal digits, or nothing", "\"" + escape_untrusted(value, 80) + "\"",
               ""});
}

void check_identity(const LockIdentity& id) {
  check_text("architecture", id.architecture, false);
  check_text("base_model", id.base_model, true);
  check_text("protocol", id.protocol, true);
  check_text("library_version", id.library_version, true);
  check_dimension("layers", id.num_hidden_layers, 1, lock_format::kMaxDimension);
  check_dimension("heads", id.num_attention_heads, 1, lock_format::kMaxDimension);
  check_dimension("kv_heads", id.num_key_value_heads, 1, id.num_attention_heads);
  check_dimension("head_dim", id.head_dim, 1, lock_format::kMaxDimension);
  check_dimension("hidden_size", id.hidden_size, 1, lock_format::kMaxDimension);
  check_dimension("tokens_per_reply", id.tokens_per_reply, 0, INT64_MAX);
  check_dimension("seed", id.seed, 0, INT64_MAX);
  check_dimension("revision", id.revision, 0, INT64_MAX);
  check_sha256("config_digest", id.config_digest);
  check_sha256("tokenizer_digest", id.tokenizer_digest);
  check_sha256("template_digest", id.template_digest);
  check_sha256("weights_digest", id.weights_digest);
  check_sha256("pairs_digest", id.pairs_digest);
}

void check_place(const HeadDirection& head, const LockIdentity& id, std::set<HeadId>& seen) {
  const bool in_range = head.id.layer >= 0 && head.id.layer < id.num_hidden_layers && head.id.head >= 0 &&
                        head.id.head < id.num_attention_heads;
  if (in_range && seen.insert(head.id).second) return;
  throw Error({"lock.head", "", name_of(head.id),
               in_range ? "each head once"
                        : "layers below " + std::to_string(id.num_hidden_layers) + ", heads below " +
                              std::to_string(id.num_attention_heads),
               in_range ? "the same head again" : "a head outside the model", ""});
}

void check_direction(const HeadDirection& head, std::int64_t dim) {
  const auto fail = [&](const std::string& expected, const std::string& found) {
    throw Error({"lock.vector", "", name_of(head.id), expected, found, ""});
  };
  if (head.direction.size() != static_cast<size_t>(dim)) {
    fail("a direction of " + std::to_string(dim) + " values", std::to_string(head.direction.size()));
  }
  double squares = 0;
  for (const float x : head.direction) squares += static_cast<double>(x) * static_cast<double>(x);
  const double norm = std::sqrt(squares);
  // A NaN or infinity anywhere makes the norm fail this too.
  if (!(std::abs(norm - 1.0) <= lock_format::kNormTolerance)) fail("a norm of 1 +- 0.002", number(norm));
}

void check_heads(const std::vector<HeadDirection>& heads, const LockIdentity& id) {
  if (heads.empty()) throw Error({"lock.head", "", "heads", "at least one locked head", "none", ""});
  std::set<HeadId> seen;
  for (const HeadDirection& head : heads) {
    check_place(head, id, seen);
    check_direction(head, id.head_dim);
    if (!(head.sigma > 0 && head.sigma <= lock_format::kMaxSigma)) {
      throw Error({"lock.scale", "", name_of(head.id),
                   "a sigma above 0, at most " + number(lock_format::kMaxSigma), number(head.sigma), ""});
    }
    if (!(head.gap >= 0 && head.gap <= lock_format::kMaxSigma)) {
      throw Error({"lock.scale", "", name_of(head.id),
                   "a class gap from 0 (not known) to " + number(lock_format::kMaxSigma), number(head.gap),
                   ""});
    }
    if (!(head.score >= 0 && head.score <= 1)) {
      throw Error({"lock.score", "", name_of(head.id), "a score from 0 to 1", number(head.score), ""});
    }
  }
}

void check_alpha_range(double default_alpha, double alpha_max) {
  // A default of 0 would be a lock that silently does nothing.
  if (default_alpha > 0 && default_alpha <= alpha_max && alpha_max <= Strength::kMax) return;
  throw Error({"lock.alpha_range", "", "alpha, alpha_max",
               "0 < alpha <= alpha_max <= " + number(Strength::kMax),
               number(default_alpha) + ", " + number(alpha_max), ""});
}

}  // namespace

LockIdentity identity_of(const ModelConfig& config) {
  LockIdentity id;
  id.architecture = config.architecture;
  id.num_hidden_layers = config.num_hidden_layers;
  id.num_attention_heads = config.num_attention_heads;
  id.num_key_value_heads = config.num_key_value_heads;
  id.head_dim = config.head_dim;
  id.hidden_size = config.hidden_size;
  id.config_digest = sha256_hex(canonical_text(config));
  return id;
}

SafetyLock::SafetyLock(LockIdentity identity, std::vector<HeadDirection> heads, double default_alpha,
                       double alpha_max, std::optional<Gate> gate, std::optional<Gate> reply_gate)
    : identity_(std::move(identity)),
      heads_(std::move(heads)),
      default_alpha_(default_alpha),
      alpha_max_(alpha_max),
      gate_(std::move(gate)),
      reply_gate_(std::move(reply_gate)) {
  check_identity(identity_);
  check_heads(heads_, identity_);
  check_alpha_range(default_alpha_, alpha_max_);
  for (const std::optional<Gate>* either : {&gate_, &reply_gate_}) {
    if (!*either) continue;
    check_gate(**either, identity_, either == &reply_gate_);
    check_sha256("gate_prompts_digest", (*either)->prompts_digest);
  }
  if (reply_gate_ && !gate_)
    throw Error({"lock.gate", "", "reply gate", "a gate of prompts beside it", "none", ""});
  content_digest_ = safetylock::content_digest(
      lock_content(identity_, heads_, default_alpha_, alpha_max_, gate_, reply_gate_));
}

Strength SafetyLock::strength(double alpha) const {
  return within_limit(Strength(alpha), alpha_max_);
}

SafetyLock SafetyLock::with_gate(std::optional<Gate> gate, std::optional<Gate> reply_gate) const {
  return {identity_, heads_, default_alpha_, alpha_max_, std::move(gate), std::move(reply_gate)};
}

std::vector<std::int64_t> SafetyLock::layers() const {
  std::set<std::int64_t> layers;
  for (const HeadDirection& head : heads_) layers.insert(head.id.layer);
  return {layers.begin(), layers.end()};
}

std::vector<float> SafetyLock::displacement(std::int64_t layer) const {
  const auto dim = static_cast<size_t>(identity_.head_dim);
  std::vector<float> out(static_cast<size_t>(identity_.num_attention_heads) * dim);
  for (const HeadDirection& head : heads_) {
    if (head.id.layer != layer) continue;
    float* at = out.data() + static_cast<size_t>(head.id.head) * dim;
    for (size_t j = 0; j < dim; ++j) at[j] = head.sigma * head.direction[j];
  }
  return out;
}

std::vector<float> SafetyLock::output_bias(std::int64_t layer, std::span<const float> o_proj) const {
  const auto rows = static_cast<size_t>(identity_.hidden_size);
  const auto dim = static_cast<size_t>(identity_.head_dim);
  const size_t columns = static_cast<size_t>(identity_.num_attention_heads) * dim;
  if (o_proj.size() != rows * columns) {
    throw Error({"arg.shape", "", "SafetyLock::output_bias: o_proj",
                 std::to_string(rows) + " * " + std::to_string(columns) + " values",
                 std::to_string(o_proj.size()), ""});
  }
  std::vector<double> sums(rows);
  for (const HeadDirection& head : heads_) {
    if (head.id.layer != layer) continue;
    const float* weights = o_proj.data() + static_cast<size_t>(head.id.head) * dim;
    for (size_t e = 0; e < rows; ++e, weights += columns) {
      double sum = 0;
      for (size_t j = 0; j < dim; ++j)
        sum += static_cast<double>(weights[j]) * static_cast<double>(head.direction[j]);
      sums[e] += static_cast<double>(head.sigma) * sum;
    }
  }
  return {sums.begin(), sums.end()};
}

void check_fits(const LockIdentity& identity, const ModelConfig& config) {
  std::string expected, found;
  const auto compare = [&](const std::string& field, const std::string& lock, const std::string& model) {
    if (lock == model) return;
    expected += (expected.empty() ? "" : ", ") + field + " " + escape_untrusted(lock, 64);
    found += (found.empty() ? "" : ", ") + field + " " + escape_untrusted(model, 64);
  };
  const auto compare_number = [&](const char* field, std::int64_t lock, std::int64_t model) {
    compare(field, std::to_string(lock), std::to_string(model));
  };
  compare("architecture", identity.architecture, config.architecture);
  compare_number("num_hidden_layers", identity.num_hidden_layers, config.num_hidden_layers);
  compare_number("num_attention_heads", identity.num_attention_heads, config.num_attention_heads);
  compare_number("num_key_value_heads", identity.num_key_value_heads, config.num_key_value_heads);
  compare_number("head_dim", identity.head_dim, config.head_dim);
  compare_number("hidden_size", identity.hidden_size, config.hidden_size);
  // Same shapes, another family: Llama 3 and 3.1 8B differ in their rope scaling alone.
  if (expected.empty() && !identity.config_digest.empty()) {
    compare("config_digest (intermediate_size, rope_theta, rope_scaling)", identity.config_digest,
            sha256_hex(canonical_text(config)));
  }
  if (expected.empty()) return;
  throw Error(
      {"bind.model", "", "check_fits", "a model with " + expected, found,
       "The lock was made for another model" +
           (identity.base_model.empty() ? "" : " (" + escape_untrusted(identity.base_model, 100) + ")")});
}

}  // namespace safetylock
