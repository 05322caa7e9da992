// Locks of invented models for tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "safetylock/lock.h"

namespace safetylock::test {

inline LockIdentity sample_identity() {
  LockIdentity id;
  id.architecture = "LlamaForCausalLM";
  id.num_hidden_layers = 6;
  id.num_attention_heads = 4;
  id.num_key_value_heads = 2;
  id.head_dim = 8;
  id.hidden_size = 20;  // not 4 * 8
  id.base_model = "tiny \"llama\"";
  id.tokenizer_digest = std::string(64, 'a');
  id.template_digest = std::string(64, 'b');
  id.pairs_digest = std::string(64, '0');
  id.protocol = "grouped";
  id.tokens_per_reply = 5;
  id.seed = 7;
  id.library_version = "0.1.0";
  return id;
}

/// A unit vector that differs from seed to seed.
inline std::vector<float> sample_direction(std::int64_t dim, int seed) {
  std::vector<float> v;
  double squares = 0;
  for (std::int64_t j = 0; j < dim; ++j) {
    v.push_back(static_cast<float>(std::sin(1.7 * seed + 0.9 * static_cast<double>(j * j + 1))));
    squares += static_cast<double>(v.back()) * v.back();
  }
  for (float& x : v) x = static_cast<float>(x / std::sqrt(squares));
  return v;
}

/// Three heads, two of them in layer 4.
inline std::vector<HeadDirection> sample_heads() {
  return {{{4, 3}, sample_direction(8, 1), 0.75F, 0.95F, 0.5F},
          {{1, 0}, sample_direction(8, 2), 1.5F, 0.9F, 0.0F},
          {{4, 1}, sample_direction(8, 3), 0.25F, 0.875F, 0.125F}};
}

/// Reads one head at two positions and another one.
inline Gate sample_gate() {
  return {.heads = {{{0, 2}, GatePosition::message, sample_direction(8, 4)},
                    {{3, 1}, GatePosition::last_token, sample_direction(8, 5)},
                    {{3, 1}, GatePosition::template_tail, sample_direction(8, 6)}},
          .bias = -1.25F,
          .threshold = 0.3,
          .evidence =
              {.harmful = 180, .missed = 21, .harmless = 179, .false_alarms = 8, .mean = -0.5, .sd = 1.75},
          .prompts_digest = std::string(64, 'c')};
}

inline Gate sample_reply_gate() {
  return {
      .heads = {{{2, 0}, GatePosition::reply, sample_direction(8, 7)},
                {{5, 3}, GatePosition::reply, sample_direction(8, 8)}},
      .bias = 0.5F,
      .threshold = 0.625,
      .evidence = {.harmful = 720, .missed = 90, .harmless = 716, .false_alarms = 7, .mean = 0.25, .sd = 2.5},
      .prompts_digest = std::string(64, 'c')};
}

inline SafetyLock sample_lock() {
  return {sample_identity(), sample_heads(), 6.0, 24.0};
}

}  // namespace safetylock::test
