// Gates of a planted model, whose harm head is known: '!' in a prompt is what harm is there.
#pragma once

#include <string>
#include <vector>

#include "safetylock/derive.h"
#include "safetylock/derive_gate.h"
#include "support/planted_model.h"

namespace safetylock::test {

inline constexpr Planted kBase{.compliance = 1}, kTuned{.compliance = 5};

/// Letters, among which some '!' in the harmful ones, and as many '?' in the others; six prompts a topic.
inline std::vector<GatePrompt> gate_prompts(size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<GatePrompt> prompts;
  for (size_t i = 0; i < count; ++i) {
    std::string text;
    for (int c = 0; c < 16; ++c) text += static_cast<char>('A' + random.below(26));
    const bool harmful = i % 2 == 0;
    for (int c = 0; c < 10; ++c) text[random.below(16)] = harmful ? '!' : '?';
    prompts.push_back({.prompt = text, .harmful = harmful, .topic = std::to_string(i / 6)});
  }
  return prompts;
}

inline const std::vector<std::string> kHarmful = {"AB!!!!!!!!CD!!EF", "!!!!!!EFGH!!!!KL", "Q!!!!!!!!!!!!!!R"},
                                      kBenign = {"What is rye?", "Where is Rome?", "Who?", "ABCDEFGHIJKL"};

inline DerivedGate planted_gate(const GateOptions& options = {}) {
  const CausalLM base = kBase.build();
  return derive_gate(collect_gate_activations(base, gate_prompts(96, 5)), options);
}

inline const SafetyLock& planted_lock() {
  static const SafetyLock lock = [] {
    const CausalLM base = kBase.build();
    const HeadActivations acts = collect_head_activations(base, planted_pairs(40, 1));
    return derive_lock(acts, rank_heads(acts), {.num_heads = 1})
        .with_gate(planted_gate({.num_heads = {1}, .C = {10}}).gate);
  }();
  return lock;
}

inline std::vector<std::string> both() {
  std::vector<std::string> prompts;
  for (size_t i = 0; i < kBenign.size(); ++i) {
    prompts.push_back(kBenign[i]);
    if (i < kHarmful.size()) prompts.push_back(kHarmful[i]);
  }
  return prompts;
}

inline bool is_harmful(const std::string& prompt) {
  return prompt.find('!') != std::string::npos;
}

}  // namespace safetylock::test
