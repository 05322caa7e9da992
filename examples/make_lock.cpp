// Derives a SafetyLock from a base model and pairs of safe and unsafe replies.
// Usage: make_lock MODEL PAIRS LOCK
#include <safetylock/safetylock.h>

#include <algorithm>
#include <iostream>

namespace sl = safetylock;

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::cerr << "usage: make_lock MODEL PAIRS LOCK\n";
    return 2;
  }
  const auto base = sl::CausalLM::from_pretrained(argv[1]);
  const auto pairs = sl::load_prompt_pairs(argv[2]);

  // What every attention head says at the last five tokens of each reply.
  const auto activations = sl::collect_head_activations(base, pairs, {.tokens_per_reply = 5});
  std::cout << pairs.size() << " pairs gave " << activations.values.size(0) << " rows of "
            << activations.values.size(1) << " layers with " << activations.values.size(2) << " heads of "
            << activations.values.size(3) << " numbers\n";

  // Which heads tell safe from unsafe replies, on questions that their probes have not seen.
  const auto ranking = sl::rank_heads(activations, {.seed = 1});
  for (std::size_t i = 0; i < std::min<std::size_t>(ranking.size(), 5); ++i) {
    std::cout << "head " << ranking[i].id.layer << "." << ranking[i].id.head << ": accuracy "
              << ranking[i].accuracy << " [" << ranking[i].ci_low << ", " << ranking[i].ci_high << "]\n";
  }

  const auto heads = std::min<std::int64_t>(24, static_cast<std::int64_t>(ranking.size()));
  const auto lock = sl::derive_lock(activations, ranking, {.num_heads = heads, .seed = 1});
  lock.save(argv[3]);

  const auto loaded = sl::SafetyLock::load(argv[3]);
  std::cout << loaded.heads().size() << " heads written to " << argv[3] << ", digest "
            << loaded.content_digest() << "\n";
  return loaded.content_digest() == lock.content_digest() ? 0 : 1;
} catch (const sl::Error& error) {
  std::cerr << "error: " << error.what() << "\n";
  return sl::exit_code(error);
}
