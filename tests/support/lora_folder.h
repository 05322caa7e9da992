// A tiny PEFT adapter for tests: a config as JSON and its tensors.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "formats/lora.h"
#include "support/errors.h"
#include "support/hf_folder.h"

namespace safetylock::test {

// An adapter on q_proj and v_proj of tiny_hf("llama"): 2 layers, hidden 8, q rows 8, v rows 4.
struct LoraFolder {
  Json config = {{"peft_type", "LORA"},
                 {"base_model_name_or_path", "tiny"},
                 {"r", 2},
                 {"lora_alpha", 8},
                 {"target_modules", {"q_proj", "v_proj"}},
                 {"bias", "none"},
                 {"fan_in_fan_out", false},
                 {"lora_dropout", 0.1},
                 {"use_rslora", false}};
  std::vector<SafetensorsEntry> tensors;

  LoraFolder() {
    for (const char* layer : {"0", "1"}) {
      add(std::string("model.layers.") + layer + ".self_attn.q_proj", 2, 8, 8);
      add(std::string("model.layers.") + layer + ".self_attn.v_proj", 2, 8, 4);
    }
  }
  void add(const std::string& module, std::uint64_t rank, std::uint64_t in, std::uint64_t out) {
    tensor("base_model.model." + module + ".lora_A.weight", {rank, in});
    tensor("base_model.model." + module + ".lora_B.weight", {out, rank});
  }
  void tensor(const std::string& name, std::vector<std::uint64_t> shape) {
    std::uint64_t count = 1;
    for (const std::uint64_t n : shape) count *= n;
    tensors.push_back(SafetensorsEntry::f32(name, std::move(shape),
                                            tiny_values(count, static_cast<float>(tensors.size() + 1))));
  }
  SafetensorsEntry& at(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  }
  void remove(const std::string& part) {
    std::erase_if(tensors, [&](const auto& t) { return t.name.find(part) != std::string::npos; });
  }
  LoraAdapter load() const {
    const TemporaryFolder folder;
    folder.write("adapter_config.json", config.dump());
    folder.write("adapter_model.safetensors", safetensors_to_bytes(tensors, {{"format", "pt"}}));
    return load_lora(folder.path());
  }
  std::optional<ErrorFields> error(const HfFolder& base = tiny_hf("llama")) const {
    const TemporaryFolder folder;
    base.write(folder);
    const auto checkpoint = Checkpoint::open(folder.path());
    return error_of([&] { check_lora_fits(load(), checkpoint->tensors()); });
  }
  std::string code(const HfFolder& base = tiny_hf("llama")) const {
    const auto e = error(base);
    return e ? e->code : "no error";
  }
};

}  // namespace safetylock::test
