// Whether an adapter belongs to a base model.
#include <algorithm>
#include <map>

#include "base/edit_distance.h"
#include "formats/checkpoint_tensors.h"
#include "formats/lora.h"
#include "formats/lora_config.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kHead = "lm_head.weight";

class Fit {
 public:
  Fit(const LoraAdapter& adapter, std::span<const CheckpointTensor> base) : adapter_(adapter) {
    for (const CheckpointTensor& t : base) base_.emplace(t.name, &t);
    // In a tied model the embedding is the output head, and an adapter may change the one or the other.
    if (const auto embedding = base_.find(kEmbedding); embedding != base_.end())
      base_.emplace(kHead, embedding->second);
  }

  void check() const {
    for (const LoraModule& m : adapter_.modules) {
      const std::string name = m.module + std::string(kWeight);
      if (name == kEmbedding) {
        fail("lora.unsupported", "module \"" + m.module + "\"", "a change of linear layers",
             "one of the embedding", "Merge the adapter with PEFT first");
      }
      const CheckpointTensor& weight = place_of(name);
      const LoraReplacement* replaced = adapter_.find_replacement(name);
      const std::vector<std::uint64_t>& shape = replaced != nullptr ? replaced->shape : weight.shape;
      const std::vector<std::uint64_t> want = {m.out_features, m.in_features};
      if (shape != want) {
        fail("lora.shape", "module \"" + escape_untrusted(m.module) + "\"",
             "a change of " + shape_text(shape), "one of " + shape_text(want),
             "The adapter was made for another model");
      }
    }
    for (const LoraReplacement& r : adapter_.replacements) check_replacement(r);
    check_changes_something();
    check_complete();
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, adapter_.path, where, expected, found, hint});
  }

  const CheckpointTensor& place_of(const std::string& name) const {
    const auto it = base_.find(name);
    if (it != base_.end()) return *it->second;
    const auto nearest = std::min_element(base_.begin(), base_.end(), [&](const auto& a, const auto& b) {
      return edit_distance(name, a.first) < edit_distance(name, b.first);
    });
    fail("lora.target", "tensor \"" + escape_untrusted(name) + "\"", "a tensor of the base model",
         nearest == base_.end() ? "none"
                                : "none of that name; the nearest is \"" + std::string(nearest->first) + "\"",
         "The adapter was made for another model");
  }

  void check_replacement(const LoraReplacement& r) const {
    std::vector<std::uint64_t> want = place_of(r.tensor).shape;
    const bool in_vocabulary = r.tensor == kEmbedding || r.tensor == kHead;
    if (in_vocabulary && r.shape.size() == 2 && r.shape[0] > 0) want[0] = r.shape[0];
    if (r.shape == want) return;
    fail("lora.shape", "tensor \"" + escape_untrusted(r.tensor) + "\"", shape_text(want), shape_text(r.shape),
         "The adapter was made for another model");
  }

  // B starts as zeros: an adapter that was saved before training changes nothing.
  void check_changes_something() const {
    const auto is_zero = [](float v) { return v == 0.0F; };
    const bool idle =
        adapter_.replacements.empty() &&
        std::all_of(adapter_.modules.begin(), adapter_.modules.end(), [&](const LoraModule& m) {
          return std::all_of(m.b.begin(), m.b.end(), is_zero) || std::all_of(m.a.begin(), m.a.end(), is_zero);
        });
    if (idle) {
      fail("lora.no_effect", "", "an adapter that changes the model", "only zeros",
           "It was saved before it was trained, or damaged");
    }
  }

  bool is_meant(std::string_view module) const {
    if (adapter_.all_linear) return module.ends_with("_proj");
    return std::any_of(adapter_.targets.begin(), adapter_.targets.end(),
                       [&](const std::string& target) { return matches_module(target, module); });
  }

  void check_complete() const {
    if (adapter_.restricted) return;
    for (const auto& [name, tensor] : base_) {
      if (tensor->shape.size() != 2 || !name.ends_with(kWeight)) continue;
      const std::string_view module = name.substr(0, name.size() - kWeight.size());
      if (is_meant(module) && adapter_.find(name) == nullptr && adapter_.find_replacement(name) == nullptr) {
        fail("lora.partial", "target_modules", "a change of \"" + std::string(module) + "\"",
             "none in the file", "The file is incomplete: the model would not be the one that was trained");
      }
    }
  }

  const LoraAdapter& adapter_;
  std::map<std::string_view, const CheckpointTensor*> base_;
};

}  // namespace

void check_lora_fits(const LoraAdapter& adapter, std::span<const CheckpointTensor> base) {
  Fit(adapter, base).check();
}

}  // namespace safetylock
