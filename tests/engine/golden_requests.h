// Greedy requests of unequal prompts, and the 64 tokens that transformers gives for each.
#pragma once

#include <string>
#include <vector>

#include "engine/token_generator.h"
#include "support/tiny_model.h"

namespace safetylock::test {

struct GoldenRequests {
  std::vector<TokenRequest> requests;
  std::vector<std::vector<TokenId>> expected;
};

inline GoldenRequests golden_requests(const std::string& tiny_model) {
  const Golden golden(tiny_model);
  GoldenRequests result;
  for (const char* i : {"0", "1", "2", "1", "0"}) {
    result.requests.push_back({.prompt_ids = golden.integers(std::string("ids.") + i), .strength = {}});
    result.expected.push_back(golden.integers(std::string("greedy.") + i));
  }
  return result;
}

}  // namespace safetylock::test
