#include "safetylock/bake.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "bake/bake_job.h"
#include "bake/lock_bias.h"
#include "base/file.h"
#include "formats/model_folder.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

double alpha_of(const SafetyLock& lock, const BakeOptions& options) {
  const Strength strength = options.alpha ? lock.strength(*options.alpha) : lock.default_strength();
  if (!strength.is_zero()) return strength.alpha();
  throw Error({"arg.alpha", "", "bake: alpha", "more than 0", "0", "A baked model is a locked one"});
}

void check_gate(const SafetyLock& lock, const BakeOptions& options) {
  if (!lock.gate() || options.without_gate) return;
  throw Error({"bind.bake", "", "the lock's gate", "a lock without one",
               "a gate, which decides for each request: a bias acts on every token",
               "Serve the lock with the library or a loader (examples/python), or bake it without its gate "
               "(--no-gate), to act on every request"});
}

}  // namespace

bool BakeJob::lock_holds(std::int64_t layer) const {
  const std::vector<std::int64_t> layers = lock.layers();
  return std::binary_search(layers.begin(), layers.end(), layer);
}

void BakeJob::progress(const char* stage, std::int64_t done, std::int64_t total, const char* unit) const {
  if (!options.on_progress || options.on_progress({stage, done, total, unit})) return;
  throw Error({"run.interrupted", "", "bake", "", "a request to stop", "Nothing was left behind"});
}

void BakeJob::count_copied(std::uint64_t bytes) {
  copied += bytes;
  progress("copying weights", static_cast<std::int64_t>(copied), static_cast<std::int64_t>(to_copy), "bytes");
}

std::optional<LoraAdapter> BakeJob::load_adapter(const Checkpoint& base) const {
  if (options.adapter.empty()) return std::nullopt;
  LoraAdapter adapter = load_lora(options.adapter);
  check_lora_fits(adapter, base.tensors());
  for (const LoraReplacement& r : adapter.replacements) {
    if (!r.tensor.ends_with("self_attn.o_proj.bias")) continue;
    throw Error({"bind.bake", adapter.path, escape_untrusted(r.tensor), "an adapter that leaves it alone",
                 "one that replaces it, and the lock with it",
                 "Merge the adapter with PEFT and bake the result"});
  }
  return adapter;
}

std::vector<std::vector<double>> BakeJob::biases(const ModelTensors& tensors, const LoraAdapter* adapter) {
  const ModelConfig& c = tensors.config();
  report.layers = lock.layers();
  std::vector<std::vector<double>> all;
  for (std::int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    progress("computing biases", layer, c.num_hidden_layers, "layers");
    const std::vector<float> existing = tensors.read_all(o_bias_name(layer));
    std::vector<double> bias(existing.begin(), existing.end());
    bias.resize(static_cast<size_t>(c.hidden_size));
    if (lock_holds(layer)) {
      const std::vector<double> added = lock_bias(tensors, lock, layer, adapter);
      for (size_t e = 0; e < bias.size(); ++e) {
        bias[e] += alpha * added[e];
        report.largest_bias = std::max(report.largest_bias, std::fabs(alpha * added[e]));
      }
    }
    all.push_back(std::move(bias));
  }
  report.bytes_read = tensors.bytes_read();
  return all;
}

BakeReport bake_lock(const std::string& model, const SafetyLock& lock, const std::string& output,
                     const BakeOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  check_gate(lock, options);
  BakeJob job{.model = resolve_model_path(model),
              .lock = lock,
              .output = output,
              .options = options,
              .alpha = alpha_of(lock, options),
              .report = {},
              .copied = 0,
              .to_copy = 0};
  job.report.alpha = job.alpha;
  if (is_directory(job.model)) {
    bake_folder(job);
  } else {
    bake_gguf(job);
  }
  job.report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return std::move(job.report);
}

}  // namespace safetylock
