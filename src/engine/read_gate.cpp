#include "safetylock/read_gate.h"

#include <algorithm>

#include "engine/chat_prompt.h"
#include "model/causal_lm_impl.h"
#include "model/gate_probe.h"

namespace safetylock {
namespace {

void report(const ProgressCallback& on_progress, size_t done, size_t total) {
  if (!on_progress) return;
  const Progress progress{.stage = "reading the gate",
                          .done = static_cast<std::int64_t>(done),
                          .total = static_cast<std::int64_t>(total),
                          .unit = "prompts"};
  if (!on_progress(progress) && done < total) {
    throw Error({.code = "run.interrupted",
                 .where = "reading the gate",
                 .found = std::to_string(done) + " of " + std::to_string(total) + " prompts read"});
  }
}

}  // namespace

std::vector<GateReading> read_gate(const CausalLM& model, const std::vector<GenerateRequest>& requests,
                                   const GenerateOptions& options) {
  const std::shared_ptr<const Interventions> lock = model.default_interventions();
  if (lock == nullptr || lock->gate == nullptr) {
    throw Error({.code = "lock.state",
                 .where = "read_gate",
                 .expected = "a lock with a gate applied to the model",
                 .found = lock == nullptr ? "no lock" : "a lock that acts on every request"});
  }
  std::vector<ChatPrompt> prompts;
  GenerateOptions encoding = options;
  encoding.max_new_tokens = 1;
  for (const GenerateRequest& request : requests)
    prompts.push_back(encode_chat_prompt(model, request, encoding, prompts.size()));

  const CausalLM::Impl& impl = model.impl();
  return translating_torch_errors([&] {
    const c10::InferenceMode inference;
    const auto batch_size = static_cast<size_t>(std::max<std::int64_t>(1, options.batch_size));
    std::vector<GateReading> readings;
    for (size_t begin = 0; begin < prompts.size(); begin += batch_size) {
      report(options.on_progress, begin, prompts.size());
      const size_t end = std::min(begin + batch_size, prompts.size());
      BatchBuilder builder;
      std::vector<PromptPlaces> places;
      for (size_t i = begin; i < end; ++i) {
        builder.add(prompts[i].ids, 0, static_cast<std::int64_t>(i - begin));
        places.push_back(prompts[i].places);
      }
      const PackedBatch batch = builder.build();
      const GateReader reader(lock->gate, batch, places, impl.decoder.options().device());
      DecoderPass(impl.decoder, batch, {}, reader.watching(impl.registry->snapshot())).run();
      for (const double score : reader.scores()) readings.push_back(read_score(score, lock->rule));
    }
    report(options.on_progress, prompts.size(), prompts.size());
    return readings;
  });
}

}  // namespace safetylock
