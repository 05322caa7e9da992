#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "engine/chat_prompt.h"
#include "formats/model_folder.h"
#include "pipeline/causal_check_prompts.h"
#include "safetylock/apply.h"
#include "safetylock/error.h"
#include "safetylock/make_probes.h"

namespace safetylock {
namespace {

constexpr size_t kPromptsOfEachKind = 4;
constexpr std::int64_t kLikeliest = 10;

const char* dtype_name(at::ScalarType type) {
  return type == at::kBFloat16 ? "bfloat16" : type == at::kHalf ? "float16" : "float32";
}

/// [B, V] in double, on the CPU.
at::Tensor next_logprobs(const CausalLM& model, const std::vector<std::vector<TokenId>>& sequences) {
  return model.logits(sequences, LogitsOf::last_token).to(at::kCPU, at::kDouble).log_softmax(-1);
}

VerifyProbe probe_of(const CausalLM& model, const std::vector<TokenId>& ids, const at::Tensor& unlocked,
                     const at::Tensor& locked) {
  std::set<std::int64_t> likeliest;
  for (const at::Tensor& row : {unlocked, locked}) {
    const at::Tensor top = std::get<1>(row.topk(std::min(kLikeliest, row.size(0))));
    for (std::int64_t i = 0; i < top.size(0); ++i) likeliest.insert(top[i].item<std::int64_t>());
  }
  VerifyProbe probe{{ids.begin(), ids.end()}, {}};
  for (const std::int64_t id : likeliest) {
    // Embeddings have rows that no token of the vocabulary leads to.
    const bool known = id < model.tokenizer().vocab_size();
    probe.next.push_back({id, known ? model.tokenizer().decode({static_cast<TokenId>(id)}, false) : "",
                          unlocked[id].item<double>(), locked[id].item<double>()});
  }
  std::stable_sort(probe.next.begin(), probe.next.end(),
                   [](const ProbeToken& a, const ProbeToken& b) { return a.locked > b.locked; });
  return probe;
}

}  // namespace

VerifyProbes make_verify_probes(const CausalLM& model, const SafetyLock& lock, double alpha) {
  if (model.default_interventions() != nullptr) {
    throw Error({.code = "lock.state",
                 .where = "make_verify_probes",
                 .expected = "a model without a lock",
                 .found = "a lock applied already"});
  }
  std::vector<std::vector<TokenId>> sequences;
  for (size_t i = 0; i < kPromptsOfEachKind; ++i) {
    sequences.push_back(encode_prompt(model, std::string(kCausalCheckHarmful[i])));
    sequences.push_back(encode_prompt(model, std::string(kCausalCheckBenign[i])));
  }
  const at::Tensor unlocked = next_logprobs(model, sequences);
  const AppliedLock applied = apply_lock(model, lock, {.alpha = alpha, .conditional = false});
  const at::Tensor locked = next_logprobs(model, sequences);
  VerifyProbes probes{model_name(model.path()), lock.content_digest(), alpha, dtype_name(model.dtype()), {}};
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    probes.probes.push_back(probe_of(model, sequences[i], unlocked[row], locked[row]));
  }
  return probes;
}

}  // namespace safetylock
