// A lock that fits a given model: invented directions, and a strength that shows in the logits.
#pragma once

#include <cmath>
#include <vector>

#include "lock/sample_lock.h"
#include "safetylock/lock.h"
#include "safetylock/model_config.h"

namespace safetylock::test {

inline SafetyLock lock_for(const ModelConfig& c, const std::vector<HeadId>& ids, int seed = 1,
                           double alpha = 3.0) {
  std::vector<HeadDirection> heads;
  for (const HeadId& head : ids) {
    const int number = seed * 100 + static_cast<int>(heads.size());
    heads.push_back(
        {head, sample_direction(c.head_dim, number), 0.2F + 0.05F * static_cast<float>(heads.size()), 0.9F});
  }
  return {identity_of(c), heads, alpha, 24.0};
}

/// Heads of two layers, two of them side by side; a model of more layers has one without. Of a large model 24
/// heads in 12 layers, as the authors' locks have.
inline SafetyLock lock_for(const ModelConfig& c) {
  const std::int64_t last = c.num_attention_heads - 1;
  if (c.num_hidden_layers >= 24) {
    std::vector<HeadId> ids;
    for (std::int64_t i = 0; i < 24; ++i) ids.push_back({8 + i / 2, (7 * i + 3) % c.num_attention_heads});
    return lock_for(c, ids);
  }
  return lock_for(c, {{1, last}, {0, 0}, {1, last - 1}, {0, last}});
}

}  // namespace safetylock::test
