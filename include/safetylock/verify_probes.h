// verify.json: what a baked model should say, so that a served one can be checked: prompts as token ids, and
// the log-probabilities of the next token with the lock and without.
//
// Core only: links no libtorch.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

struct ProbeToken {
  std::int64_t id = 0;
  std::string text;     ///< of the token by itself; bytes that are no UTF-8 replaced
  double unlocked = 0;  ///< natural logarithm of its probability, at most 0
  double locked = 0;
};

struct VerifyProbe {
  std::vector<std::int64_t> prompt_ids;  ///< the whole sequence, as the model reads it; never empty
  std::vector<ProbeToken> next;          ///< the likeliest with the lock or without; likeliest locked first
};

struct VerifyProbes {
  std::string model;        ///< a name for people
  std::string lock_digest;  ///< content_digest of the lock
  double alpha = 0;
  std::string dtype;  ///< the log-probabilities were computed in: "float32", "bfloat16" ...
  std::vector<VerifyProbe> probes;
};

/// The file's text (schema safetylock.probes/1).
std::string probes_to_json(const VerifyProbes& probes);
/// Throws json.*, cfg.* (another schema, numbers that cannot be); `file` labels errors.
VerifyProbes probes_from_json(std::string_view text, const std::string& file);

}  // namespace safetylock
