#include <algorithm>
#include <cmath>
#include <numeric>

#include "bake/bake_record.h"
#include "bake/bias_comparison.h"
#include "bake/engine_table.h"
#include "bake/lock_bias.h"
#include "bake/short_number.h"
#include "base/file.h"
#include "base/json.h"
#include "formats/config_limits.h"
#include "formats/model_folder.h"
#include "formats/model_json.h"
#include "safetylock/error.h"
#include "safetylock/verify.h"

namespace safetylock {
namespace {

constexpr double kSameStrength = 0.01;

using Vector = std::vector<double>;

double norm(const Vector& a) {
  return std::sqrt(std::inner_product(a.begin(), a.end(), a.begin(), 0.0));
}
bool is_finite(const Vector& a) {
  return std::all_of(a.begin(), a.end(), [](double v) { return std::isfinite(v); });
}

// Largest relative error of one rounding.
double rounding_of(const std::string& storage) {
  if (storage == "BF16") return std::ldexp(1.0, -8);
  if (storage == "F16") return std::ldexp(1.0, -11);
  return std::ldexp(1.0, -24);
}

class WeightVerifier {
 public:
  WeightVerifier(const std::string& path, const SafetyLock& lock, const VerifyOptions& options)
      : path_(resolve_model_path(path)), lock_(lock), options_(options) {
    report_.expected_strength =
        (options.alpha ? lock.strength(*options.alpha) : lock.default_strength()).alpha();
    if (report_.expected_strength == 0)
      throw Error({"arg.alpha", "", "verify: alpha", "more than 0", "0", "A locked model has some strength"});
  }

  VerifyReport run() {
    if (is_quantised()) {
      report_.reasons = {"its weights are quantised and cannot be read here: verify the served model"};
      return std::move(report_);
    }
    model_ = ModelTensors::open(path_);
    record_ = read_bake_record(path_);
    if (!fits()) return finish(LockVerdict::not_locked);
    if (!options_.base.empty()) base_ = ModelTensors::open(resolve_model_path(options_.base));
    if (!options_.adapter.empty()) load_adapter();
    read_layers();
    if (!check_structure()) return finish(LockVerdict::not_locked);
    return finish(judge());
  }

 private:
  bool is_quantised() const {
    if (!is_directory(path_)) return false;
    const JsonTree tree = read_model_json(path_, "config.json", limits::kConfigBytes);
    const JsonObject root(*tree, model_file_label(path_, "config.json"));
    return root.has("quantization_config") || root.has("compression_config");
  }

  /// A folder baked as another class, and a Mistral GGUF file, are called by the name the lock knows.
  bool fits() {
    try {
      lock_.check_fits(as_lock_names_it(model_->config(), lock_));
      return true;
    } catch (const Error& error) {
      if (error.code() != "bind.model") throw;
      report_.reasons.push_back("the lock is of another model: it is for one with " +
                                error.fields().expected + ", and this one has " + error.fields().found);
      return false;
    }
  }

  void load_adapter() {
    adapter_ = load_lora(options_.adapter);
    std::vector<CheckpointTensor> tensors;
    for (const LoraModule& m : adapter_->modules) add_tensor(tensors, m.module + ".weight");
    for (const LoraReplacement& r : adapter_->replacements) add_tensor(tensors, r.tensor);
    check_lora_fits(*adapter_, tensors);
  }

  void add_tensor(std::vector<CheckpointTensor>& tensors, const std::string& name) const {
    if (const auto info = model_->find(name)) tensors.push_back({name, info->shape, info->storage});
  }

  Vector bias_of(const ModelTensors& model, std::int64_t layer) const {
    const std::vector<float> values = model.read_all(o_bias_name(layer));
    return {values.begin(), values.end()};
  }

  void read_layers() {
    const std::vector<std::int64_t> locked = lock_.layers();
    for (std::int64_t l = 0; l < model_->config().num_hidden_layers; ++l) {
      LayerBias layer{bias_of(*model_, l), {}, 0};
      const auto info = model_->find(o_bias_name(l));
      if (info) layer.error = rounding_of(info->storage) * norm(layer.bias);
      if (base_ && !layer.bias.empty()) {
        const Vector before = bias_of(*base_, l);
        for (size_t e = 0; e < before.size() && e < layer.bias.size(); ++e) layer.bias[e] -= before[e];
      }
      const bool is_locked = std::binary_search(locked.begin(), locked.end(), l);
      if (is_locked) layer.unit = lock_bias(*model_, lock_, l, adapter_ ? &*adapter_ : nullptr);
      layers_.push_back(std::move(layer));
    }
  }

  /// Whether engines read biases at all, and find all they ask for.
  bool check_structure() {
    const ModelConfig& c = model_->config();
    const bool any =
        std::any_of(layers_.begin(), layers_.end(), [](const LayerBias& l) { return !l.bias.empty(); });
    auto& reasons = report_.reasons;
    if (!any) {
      reasons.push_back("no layer has an o_proj bias: the lock was dropped, or never baked");
    } else if (!c.attention_out_bias) {
      reasons.push_back(not_read(c));
    }
    for (size_t l = 0; any && l < layers_.size(); ++l) {
      const std::string layer = "layer " + std::to_string(l);
      if (layers_[l].bias.empty() && c.attention_out_bias)
        reasons.push_back(layer + ": no o_proj bias, though the config announces one");
      if (!layers_[l].bias.empty() && layers_[l].bias.size() != static_cast<size_t>(c.hidden_size))
        reasons.push_back(layer + ": an o_proj bias of " + std::to_string(layers_[l].bias.size()) +
                          " values");
      if (!is_finite(layers_[l].bias)) reasons.push_back(layer + ": NaN or infinity in the o_proj bias");
      check_qkv(static_cast<std::int64_t>(l));
    }
    return reasons.empty();
  }

  std::string not_read(const ModelConfig& c) const {
    if (model_->is_gguf()) return "llama.cpp reads attn_output.bias in files of arch llama alone";
    if (c.architecture == "LlamaForCausalLM" || !engines_for_class(c.architecture).empty()) {
      return "config.json does not say attention_bias: true: engines leave the biases unread, and serve the "
             "unlocked model";
    }
    return c.architecture +
           " has no bias on o_proj: engines drop it in silence and serve the unlocked model (transformers "
           "even with attention_bias: true)";
  }

  // An engine that is told of biases and finds none computes with whatever was in memory.
  void check_qkv(std::int64_t layer) {
    if (!model_->config().attention_bias || model_->is_gguf()) return;
    for (const char projection : {'q', 'k', 'v'}) {
      if (model_->find(projection_bias_name(layer, projection))) continue;
      report_.reasons.push_back("layer " + std::to_string(layer) + ": no " + std::string(1, projection) +
                                "_proj bias: vLLM then computes with uninitialised memory");
    }
  }

  LockVerdict judge() {
    BiasComparison found = compare_biases(layers_, report_.expected_strength);
    report_.layers = std::move(found.layers);
    report_.measured_strength = found.strength;
    report_.reasons = std::move(found.reasons);
    if (report_.reasons.empty()) return LockVerdict::locked;
    if (found.looks_like_own_biases && !base_ && can_have_own_biases() && !names_another_lock()) {
      report_.reasons.insert(report_.reasons.begin(),
                             "the model seems to have had o_proj biases of its own: give it as --base");
      return LockVerdict::cannot_tell;
    }
    explain();
    return LockVerdict::not_locked;
  }

  /// Not the classes without one, under whatever name they are saved.
  bool can_have_own_biases() const { return !engines_for_class(lock_.identity().architecture).empty(); }

  /// A record is never believed when it says that this lock is in it, and may speak against it.
  bool names_another_lock() const { return record_ && record_->lock_digest != lock_.content_digest(); }

  void explain() {
    if (!record_) return;
    const double measured = report_.measured_strength.value_or(0);
    if (names_another_lock()) report_.reasons.push_back("by its own record it was baked with another lock");
    if (record_->with_adapter && !adapter_)
      report_.reasons.push_back("by its own record it was baked for an adapter: give that as --adapter");
    if (record_->alpha != report_.expected_strength &&
        std::fabs(measured - record_->alpha) <= kSameStrength * record_->alpha) {
      report_.reasons.push_back("by its own record it was baked with strength " +
                                short_number(record_->alpha) + ": --alpha accepts that");
    }
  }

  VerifyReport finish(LockVerdict verdict) {
    report_.verdict = verdict;
    if (verdict == LockVerdict::locked) {
      report_.engines =
          model_->is_gguf() ? engines_for_gguf() : engines_for_class(model_->config().architecture);
    }
    return std::move(report_);
  }

  std::string path_;
  const SafetyLock& lock_;
  const VerifyOptions& options_;
  std::unique_ptr<ModelTensors> model_, base_;
  std::optional<BakeRecord> record_;
  std::optional<LoraAdapter> adapter_;
  std::vector<LayerBias> layers_;
  VerifyReport report_;
};

}  // namespace

std::string to_string(LockVerdict verdict) {
  switch (verdict) {
    case LockVerdict::locked:
      return "locked";
    case LockVerdict::not_locked:
      return "not locked";
    case LockVerdict::cannot_tell:
      return "cannot tell";
  }
  return "";
}

VerifyReport verify_lock(const std::string& path, const SafetyLock& lock, const VerifyOptions& options) {
  return WeightVerifier(path, lock, options).run();
}

}  // namespace safetylock
