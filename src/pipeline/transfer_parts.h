// What the two halves of measure_transfer share.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "analysis/layer_similarity.h"
#include "safetylock/transfer.h"

namespace safetylock {

struct BaseProfile::Impl {
  SafetyLock lock;
  std::vector<PromptPair> pairs;
  TransferOptions options;
  std::int64_t tokens_per_reply = 0;
  QuestionRows rows = {};
  std::vector<LayerSide> layers = {};  // [L]
  /// A layer each, [H, D]: the lock's direction or, of other heads, the base's.
  std::vector<at::Tensor> references = {};
  Rate separation = {};
  std::vector<std::string> differs = {};  // from the lock's record of its base
  std::string tokenizer_digest = {}, template_source = {};
  double seconds = 0;

  /// The model's pass over the pairs; `name` says which model it is.
  CollectOptions collect_options(const std::string& name) const;
};

/// Adds up, over the lock's heads, by how much each question's safe reply lies above its unsafe one.
class SeparationVotes {
 public:
  SeparationVotes(const SafetyLock& lock, const QuestionRows& rows);
  void add(std::int64_t layer, const LayerProfile& profile);
  /// Questions above 0.
  Rate rate() const;

 private:
  const SafetyLock& lock_;
  const QuestionRows& rows_;
  at::Tensor sums_;  // [Q]
};

/// Throws bind.model, lock.state.
void check_transfer_model(const CausalLM& model, const SafetyLock& lock, const char* name);

/// A lock's direction as [D] double.
at::Tensor direction_tensor(const HeadDirection& head);

}  // namespace safetylock
