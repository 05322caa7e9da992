// How absurd a reply is to the model it once was.
#include <cmath>

#include "pipeline/evaluate/continuation.h"
#include "pipeline/evaluate/request_interventions.h"
#include "pipeline/evaluate/step_progress.h"
#include "safetylock/evaluate.h"

namespace safetylock {

std::vector<std::optional<double>> reply_perplexities(const CausalLM& base,
                                                      const std::vector<PromptResult>& results,
                                                      const EvaluateOptions& options) {
  std::vector<Continuation> continuations;
  std::vector<size_t> owners;
  for (size_t i = 0; i < results.size(); ++i) {
    Continuation reply = reply_to(base, results[i].prompt, results[i].reply, options, i);
    if (reply.rest.empty()) continue;
    continuations.push_back(std::move(reply));
    owners.push_back(i);
  }
  const std::optional<Interventions> interventions = request_interventions(base, options.strength);
  const std::vector<double> nll = continuation_nll(
      base, continuations, options.batch_size, interventions ? &*interventions : nullptr, [&](size_t done) {
        report_step(options.on_progress, "reading replies under the base", done, continuations.size(),
                    "replies");
      });
  std::vector<std::optional<double>> perplexities(results.size());
  for (size_t i = 0; i < owners.size(); ++i)
    perplexities[owners[i]] = std::exp(nll[i] / static_cast<double>(continuations[i].rest.size()));
  return perplexities;
}

}  // namespace safetylock
