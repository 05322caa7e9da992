#include "formats/lora.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "base/out_of_memory.h"
#include "formats/checkpoint_tensors.h"
#include "formats/lora_config.h"
#include "formats/model_folder.h"
#include "formats/safetensors.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr const char* kTensors = "adapter_model.safetensors";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A.weight";
constexpr std::string_view kB = ".lora_B.weight";

std::string in_quotes(std::string_view text) {
  return "\"" + escape_untrusted(text) + "\"";
}

// The two halves of one module, as found in the file.
struct Halves {
  const SafetensorsTensor* a = nullptr;
  const SafetensorsTensor* b = nullptr;
};

class Loader {
 public:
  explicit Loader(const std::string& folder)
      : config_(read_lora_config(folder)), file_(open_tensors(folder)) {
    out_.path = escape_untrusted(folder, 1000);
    out_.base_model = config_.base_model;
    out_.targets = config_.targets;
    out_.all_linear = config_.all_linear;
    out_.restricted = config_.restricted;
    out_.ensure_weight_tying = config_.ensure_weight_tying;
  }

  LoraAdapter load() {
    for (const SafetensorsTensor& t : file_.tensors()) sort_in(t);
    for (const auto& [module, halves] : halves_) read_module(module, halves);
    if (out_.modules.empty() && out_.replacements.empty()) {
      fail("lora.no_effect", "", "tensors", "none", "The adapter would change nothing");
    }
    check_second_copies();
    // Decided by tensors and fingerprints, not by a name: adapters fit other copies of their base too.
    log::info("{}: the adapter was made for {}", out_.path,
              out_.base_model.empty() ? "a base model it does not name" : escape_untrusted(out_.base_model));
    check_targets_present();
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, file_.path(), where, expected, found, hint});
  }

  static SafetensorsFile open_tensors(const std::string& folder) {
    if (!has_model_file(folder, kTensors)) {
      for (const char* pickle : {"adapter_model.bin", "adapter_model.pt"}) {
        if (!has_model_file(folder, pickle)) continue;
        throw Error(
            {"lora.pickle_refused", escape_untrusted(folder, 1000), pickle, "adapter_model.safetensors",
             "a Python pickle",
             "Pickles can run code and are never read; save the adapter with safe_serialization=True"});
      }
    }
    return SafetensorsFile::open(open_model_file(folder, kTensors));
  }

  // Files one tensor under its module, or as a replacement.
  void sort_in(const SafetensorsTensor& t) {
    std::string_view name = t.name;
    if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
    if (!seen_.insert(std::string(name)).second) {
      fail("lora.duplicate", "tensor " + in_quotes(t.name), "each name once",
           "it with and without its prefix");
    }
    if (name.ends_with(kA)) {
      halves_[std::string(name.substr(0, name.size() - kA.size()))].a = &t;
    } else if (name.ends_with(kB)) {
      halves_[std::string(name.substr(0, name.size() - kB.size()))].b = &t;
    } else if (name.find("lora_") != std::string_view::npos) {
      const bool dora = name.find("lora_magnitude_vector") != std::string_view::npos;
      fail("lora.unsupported", "tensor " + in_quotes(t.name),
           "lora_A.weight and lora_B.weight of linear layers", dora ? "DoRA" : "another kind of adapter",
           "Merge it with PEFT first");
    } else {
      add_replacement(std::string(name), t);
    }
  }

  // Beside "X.weight" a file may have "X.base_layer.weight", the base's tensor under an adapted X; and of a
  // saved module "X.original_module.weight", the base's tensor beside the copy, and
  // "X.modules_to_save.weight", the copy a second time.
  void add_replacement(std::string name, const SafetensorsTensor& t) {
    const bool of_base = remove_part(name, ".base_layer") || remove_part(name, ".original_module");
    const bool second_time = !of_base && remove_part(name, ".modules_to_save");
    const std::string_view module = std::string_view(name).substr(0, name.rfind('.'));
    LoraReplacement r{name, t.shape, read(t), second_time || (!of_base && config_.saves(module))};
    if (second_time) {
      second_copies_.push_back(std::move(r));
    } else if (replaced_.emplace(name, r.own_copy).second) {
      out_.replacements.push_back(std::move(r));
    } else {
      fail("lora.duplicate", "tensor " + in_quotes(t.name), "one tensor in the place of " + in_quotes(name),
           "two");
    }
  }

  static bool remove_part(std::string& name, std::string_view part) {
    const size_t at = name.rfind(part);
    if (at == std::string::npos || name.find('.', at + 1) != at + part.size()) return false;
    name.erase(at, part.size());
    return true;
  }

  // PEFT reads the other one.
  void check_second_copies() const {
    for (const LoraReplacement& r : second_copies_) {
      const LoraReplacement* first = out_.find_replacement(r.tensor, true);
      if (first != nullptr && first->shape == r.shape && first->values == r.values) continue;
      fail("lora.duplicate", "tensor " + in_quotes(r.tensor), "the values of its modules_to_save",
           first == nullptr ? "no such tensor" : "other values", "Save the adapter again");
    }
  }

  std::vector<float> read(const SafetensorsTensor& t) const {
    std::vector<float> values(t.count());
    file_.read_floats(t, 0, values);
    NonFinite bad;
    find_non_finite(values, 0, bad);
    refuse_non_finite(bad, file_.path(), {t.name, t.shape, t.dtype});
    return values;
  }

  void read_module(const std::string& module, const Halves& halves) {
    const std::string where = "module " + in_quotes(module);
    if (halves.a == nullptr || halves.b == nullptr) {
      fail("lora.pair", where, "lora_A and lora_B", halves.a == nullptr ? "lora_B alone" : "lora_A alone");
    }
    const auto& a = halves.a->shape;
    const auto& b = halves.b->shape;
    const std::string shapes = "A " + shape_text(a) + ", B " + shape_text(b);
    if (a.size() != 2 || b.size() != 2) fail("lora.shape", where, "two dimensions each", shapes);
    const std::int64_t rank = config_.rank_of(module);
    if (a[0] != static_cast<std::uint64_t>(rank) || b[1] != a[0]) {
      fail("lora.rank", where,
           "A [" + std::to_string(rank) + ", in] and B [out, " + std::to_string(rank) +
               "], as the config says",
           shapes);
    }
    LoraModule m{module, a[0], a[1], b[0], config_.scale_of(module), read(*halves.a), read(*halves.b)};
    out_.modules.push_back(std::move(m));
  }

  // A target without any module in the file was meant to be adapted and is not.
  void check_targets_present() const {
    const auto absent = [&](const std::string& target, const std::string& field) {
      fail("lora.partial", field, "tensors of " + in_quotes(target), "none",
           "The file is incomplete: the model would not be the one that was trained");
    };
    for (const std::string& target : config_.targets) {
      const bool found = std::any_of(out_.modules.begin(), out_.modules.end(),
                                     [&](const LoraModule& m) { return matches_module(target, m.module); });
      if (!found) absent(target, "target_modules");
    }
    for (const std::string& module : config_.modules_to_save) {
      const bool found =
          std::any_of(out_.replacements.begin(), out_.replacements.end(), [&](const LoraReplacement& r) {
            return matches_module(module, std::string_view(r.tensor).substr(0, r.tensor.rfind('.')));
          });
      if (!found) absent(module, "modules_to_save");
    }
  }

  LoraConfig config_;
  SafetensorsFile file_;
  std::set<std::string> seen_;
  std::set<std::pair<std::string, bool>> replaced_;  // tensors, and whether by a copy of their own
  std::vector<LoraReplacement> second_copies_;
  std::map<std::string, Halves> halves_;
  LoraAdapter out_;
};

}  // namespace

const LoraModule* LoraAdapter::find(std::string_view weight) const {
  constexpr std::string_view kWeight = ".weight";
  if (!weight.ends_with(kWeight)) return nullptr;
  weight.remove_suffix(kWeight.size());
  const auto it =
      std::lower_bound(modules.begin(), modules.end(), weight,
                       [](const LoraModule& m, std::string_view name) { return m.module < name; });
  return it != modules.end() && it->module == weight ? &*it : nullptr;
}

const LoraReplacement* LoraAdapter::find_replacement(std::string_view tensor) const {
  const LoraReplacement* own_copy = find_replacement(tensor, true);
  return own_copy != nullptr ? own_copy : find_replacement(tensor, false);
}

const LoraReplacement* LoraAdapter::find_replacement(std::string_view tensor, bool own_copy) const {
  const auto it = std::find_if(replacements.begin(), replacements.end(), [&](const LoraReplacement& r) {
    return r.own_copy == own_copy && r.tensor == tensor;
  });
  return it == replacements.end() ? nullptr : &*it;
}

LoraAdapter load_lora(const std::string& folder) {
  return naming_memory_errors(folder, [&] { return Loader(resolve_model_path(folder)).load(); });
}

}  // namespace safetylock
